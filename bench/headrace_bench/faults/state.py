"""What the services hold at the end: their databases and the Delta tables, read from outside."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

_OPEN_JOBS = "select kind, state from kit_jobs where state in ('queued', 'running')"

_UNCAPTURED = """
select count(*) from captures c left join feedback f on f.request_id = c.request_id
where c.workload = '{}' and (c.record is not null or not f.judged)
"""


class Databases:
    """Reads the services' databases; the services may go on meanwhile."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = urls

    async def rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        engine = create_async_engine(self.urls[service])
        try:
            async with engine.connect() as connection:
                return [tuple(row) for row in await connection.execute(text(query))]
        finally:
            await engine.dispose()

    async def outbox_rows(self) -> dict[str, int]:
        """Events of each service that were written and not published, where there are any."""
        found = {}
        for service in self.urls:
            ((rows,),) = await self.rows(service, "select count(*) from kit_outbox")
            if rows:
                found[service] = int(rows)
        return found

    async def open_jobs(self) -> dict[str, int]:
        """Jobs of each service that are not at their end, where there are any."""
        found = {}
        for service in self.urls:
            if jobs := await self.rows(service, _OPEN_JOBS):
                found[service] = len(jobs)
        return found

    async def uncaptured(self, workload: str) -> int:
        """Requests of a workload that ingest has not written to its table yet, or not rated."""
        ((rows,),) = await self.rows("ingest", _UNCAPTURED.format(workload))
        return int(rows)

    async def has_running_job(self, service: str) -> bool:
        """Whether a job was being worked on."""
        return any(state == "running" for _, state in await self.rows(service, _OPEN_JOBS))


async def table_rows(root: Path, kind: str, workload: str, *columns: str) -> list[tuple[Any, ...]]:
    """Columns of a Delta table's newest version; no rows when there is no table."""
    return await asyncio.to_thread(_table_rows, root / kind / workload, columns)


def _table_rows(folder: Path, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    import polars as pl

    if not (folder / "_delta_log").is_dir():
        return []
    return pl.read_delta(str(folder), columns=list(columns)).select(columns).rows()
