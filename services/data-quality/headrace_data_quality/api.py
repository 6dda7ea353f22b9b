"""HTTP: dataset versions, why there is none, their profiles and differences; no text of rows."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from headrace_data_quality.adapters import catalogue
from headrace_data_quality.adapters.dataset_table import read_version
from headrace_data_quality.adapters.tables import RefusalRow, VersionRow
from headrace_data_quality.core.rows import DatasetRow
from headrace_data_quality.core.versions import difference
from headrace_events.references import TableRef
from headrace_kit import Service
from headrace_kit.listing import Cursor, Limit, Page, read_cursor
from headrace_kit.listing import cursor as cursor_of

_MOST_WAITING = 200


class DatasetOut(BaseModel):
    """A dataset version; `refused`: there is none of that number yet, and `reason` says why."""

    workload: str
    version: int
    state: Literal["curated", "refused"]
    reason: str | None = None
    table: TableRef | None = None
    digest: str | None = None
    train_rows: int | None = None
    holdout_rows: int | None = None
    rejects: dict[str, int]
    redactions: dict[str, int] = {}
    sources: list[str]
    """All that the version was made of."""
    trigger: str | None = None
    created_at: datetime


class BatchOut(BaseModel):
    """A batch that waits for the next curation."""

    batch_id: str
    source: str
    rows: int


class VersionsOut(Page[DatasetOut]):
    """A workload's versions, and the oldest batches that wait."""

    waiting: list[BatchOut]


class InputOut(BaseModel):
    """A source of a version: its batches and rows, before anything was dropped."""

    source: str
    batches: int
    rows: int


class DatasetDetailOut(DatasetOut):
    """A version with its figures. `batches` are those that are new in it."""

    batches: list[str]
    inputs: list[InputOut]
    profile: dict[str, Any]


class DifferenceOut(BaseModel):
    """What a version added, removed and changed against another, in rows."""

    workload: str
    old: int
    new: int
    rows: dict[str, int]
    profiles: dict[str, dict[str, Any]]


def router(service: Service) -> APIRouter:
    """Return the routes."""
    api = APIRouter(tags=["datasets"])

    @api.get("/datasets")
    async def list_datasets(limit: Limit = 100, cursor: Cursor = None) -> Page[DatasetOut]:
        """List each workload's newest version, and why there is no next one."""
        after = read_cursor(cursor, str, int)
        async with service.reading() as session:
            rows = await catalogue.newest(session)
        left = [row for row in rows if after is None or (row.workload, row.version) > after]
        last = left[limit - 1] if len(left) > limit else None
        return Page(
            data=[DatasetOut.model_validate(_short(row)) for row in left[:limit]],
            next=cursor_of(last.workload, last.version) if last else None,
        )

    @api.get("/datasets/{workload}")
    async def list_versions(
        workload: str, limit: Limit = 100, cursor: Cursor = None
    ) -> VersionsOut:
        """List a workload's versions, newest first, and the batches that wait."""
        before = read_cursor(cursor, int)
        async with service.reading() as session:
            rows = await catalogue.versions(
                session, workload, before[0] if before else None, limit + 1
            )
            waiting = await catalogue.waiting(session, workload, _MOST_WAITING)
        if not rows and not waiting and service.workloads.get(workload) is None:
            raise HTTPException(404, "no such workload: GET /datasets lists them")
        return VersionsOut(
            data=[DatasetOut.model_validate(_short(row)) for row in rows[:limit]],
            next=cursor_of(rows[limit - 1].version) if len(rows) > limit else None,
            waiting=[
                BatchOut(batch_id=batch_id, source=source, rows=count)
                for batch_id, source, count in waiting
            ],
        )

    @api.get("/datasets/{workload}/diff")
    async def diff(
        workload: str, old: Annotated[int, Query(ge=1)], new: Annotated[int, Query(ge=1)]
    ) -> DifferenceOut:
        """Say what version `new` added, removed and changed against `old`."""
        before, after = [await made_version(service, workload, number) for number in (old, new)]
        texts = [await asyncio.to_thread(_read, row) for row in (before, after)]
        return DifferenceOut(
            workload=workload,
            old=old,
            new=new,
            rows=difference(*texts),
            profiles={"old": before.profile, "new": after.profile},
        )

    @api.get("/datasets/{workload}/versions/{number}")
    async def get_version(workload: str, number: int) -> DatasetDetailOut:
        """Return one version with its profile and its sources."""
        row = await any_version(service, workload, number)
        made = isinstance(row, VersionRow)
        async with service.reading() as session:
            inputs = await catalogue.inputs(session, workload, number) if made else ()
        return DatasetDetailOut.model_validate(
            {
                **_short(row),
                "batches": row.batches,
                "inputs": [
                    {"source": source, "batches": batches, "rows": rows}
                    for source, batches, rows in inputs
                ],
                "profile": row.profile if isinstance(row, VersionRow) else {},
            }
        )

    return api


async def any_version(service: Service, workload: str, number: int) -> VersionRow | RefusalRow:
    """Return a version, or why there is none of that number; 404 if nothing is known of it."""
    async with service.reading() as session:
        row = await catalogue.find(session, workload, number)
    if row is None:
        named = str(number) if number <= catalogue.LAST_VERSION else "of so large a number"
        raise HTTPException(404, f"no version {named} of that dataset: GET /datasets lists them")
    return row


async def made_version(service: Service, workload: str, number: int) -> VersionRow:
    """Return a version that has rows; 404 if there is none."""
    row = await any_version(service, workload, number)
    if isinstance(row, RefusalRow):
        raise HTTPException(404, f"version {number} was not made: {row.reason}")
    return row


def _read(row: VersionRow) -> list[DatasetRow]:
    return read_version(TableRef(uri=row.table_uri, version=row.table_version))


def _short(row: VersionRow | RefusalRow) -> dict[str, Any]:
    names = ("workload", "version", "rejects", "sources", "created_at")
    both = {name: getattr(row, name) for name in names}
    if isinstance(row, RefusalRow):
        return {**both, "state": "refused", "reason": row.reason}
    more = ("digest", "train_rows", "holdout_rows", "redactions", "trigger")
    return {
        **both,
        "state": "curated",
        "table": {"uri": row.table_uri, "version": row.table_version},
        **{name: getattr(row, name) for name in more},
    }
