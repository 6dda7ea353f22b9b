"""HTTP: dataset versions, their profiles and differences. No text of rows is served."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import func, select

from headrace_data_quality.adapters.dataset_table import read_version
from headrace_data_quality.adapters.tables import BatchRow, VersionRow
from headrace_data_quality.core.rows import DatasetRow
from headrace_data_quality.core.versions import difference
from headrace_events.references import TableRef
from headrace_kit import Service
from headrace_kit.problems import problem

_LAST_VERSION = 2**31 - 1
"""PostgreSQL's INTEGER ends there."""


def router(service: Service) -> APIRouter:
    """Return the routes."""
    datasets = DatasetsApi(service)
    api = APIRouter(tags=["datasets"])
    for path, handler in (
        ("/datasets", datasets.workloads),
        ("/datasets/{workload}", datasets.versions),
        ("/datasets/{workload}/diff", datasets.diff),
        ("/datasets/{workload}/versions/{number}", datasets.version),
    ):
        api.add_api_route(path, handler, methods=["GET"], response_model=None)
    return api


class DatasetsApi:
    """The routes under /datasets."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def workloads(self) -> dict[str, Any]:
        """List workloads with their newest version."""
        newest = (
            select(VersionRow.workload, func.max(VersionRow.version).label("version"))
            .group_by(VersionRow.workload)
            .subquery()
        )
        query = (
            select(VersionRow)
            .join(
                newest,
                (VersionRow.workload == newest.c.workload)
                & (VersionRow.version == newest.c.version),
            )
            .order_by(VersionRow.workload)
        )
        async with self._service.reading() as session:
            rows = (await session.scalars(query)).all()
        return {"data": [_short(row) for row in rows]}

    async def versions(self, workload: str) -> dict[str, Any] | Response:
        """List a workload's versions, newest first, and the batches that wait."""
        query = (
            select(VersionRow)
            .where(VersionRow.workload == workload)
            .order_by(VersionRow.version.desc())
        )
        waiting = (
            select(BatchRow.batch_id, BatchRow.source, BatchRow.rows)
            .where(BatchRow.workload == workload, BatchRow.state == "pending")
            .order_by(BatchRow.announced_at)
        )
        async with self._service.reading() as session:
            rows = (await session.scalars(query)).all()
            batches = (await session.execute(waiting)).all()
        if not rows and not batches and self._service.workloads.get(workload) is None:
            return _not_found(f"no workload `{workload}`")
        return {
            "data": [_short(row) for row in rows],
            "waiting": [
                {"batch_id": batch_id, "source": source, "rows": count}
                for batch_id, source, count in batches
            ],
        }

    async def version(self, workload: str, number: int) -> dict[str, Any] | Response:
        """Return one version with its profile."""
        row = await self._find(workload, number)
        if row is None:
            return _no_version(number, workload)
        return {**_short(row), "batches": row.batches, "profile": row.profile}

    async def diff(
        self,
        workload: str,
        old: Annotated[int, Query(ge=1)],
        new: Annotated[int, Query(ge=1)],
    ) -> dict[str, Any] | Response:
        """Say what version `new` added, removed and changed against `old`."""
        rows = [await self._find(workload, number) for number in (old, new)]
        before, after = rows
        if before is None or after is None:
            missing = old if before is None else new
            return _no_version(missing, workload)
        texts = [await asyncio.to_thread(_read, row) for row in (before, after)]
        return {
            "workload": workload,
            "old": old,
            "new": new,
            "rows": difference(*texts),
            "profiles": {"old": before.profile, "new": after.profile},
        }

    async def _find(self, workload: str, number: int) -> VersionRow | None:
        if not 0 < number <= _LAST_VERSION:
            return None  # no database has a column for it
        async with self._service.reading() as session:
            return await session.get(VersionRow, (workload, number))


def _read(row: VersionRow) -> list[DatasetRow]:
    return read_version(TableRef(uri=row.table_uri, version=row.table_version))


def _short(row: VersionRow) -> dict[str, Any]:
    return {
        "workload": row.workload,
        "version": row.version,
        "table": {"uri": row.table_uri, "version": row.table_version},
        "digest": row.digest,
        "train_rows": row.train_rows,
        "holdout_rows": row.holdout_rows,
        "rejects": row.rejects,
        "redactions": row.redactions,
        "sources": row.sources,
        "trigger": row.trigger,
        "created_at": row.created_at,
    }


def _no_version(number: int, workload: str) -> Response:
    named = str(number) if number <= _LAST_VERSION else "of so large a number"
    return _not_found(f"no version {named} of dataset `{workload}`")


def _not_found(message: str) -> Response:
    return problem(404, message)
