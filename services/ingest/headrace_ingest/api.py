"""HTTP: feedback, and what became of sources and records; files are in `api_files`."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events.inference import FeedbackGiven
from headrace_events.text import Id, Text
from headrace_events.workload import Source
from headrace_ingest.adapters import capture_store
from headrace_ingest.adapters.tables import BatchRow, CaptureRow, FeedbackRow, SourceRow
from headrace_ingest.api_files import FilesApi, problem
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.landing import Landing
from headrace_ingest.settings import Settings
from headrace_kit import Service

_PAGE = 100
_PREVIEW_ROWS = 10_000
_LONGEST_CORRECTION = 100_000
"""Characters: far from the largest event however they are written."""
_LONGEST_NAME = 128


class FeedbackBody(BaseModel):
    """Feedback over HTTP; the workload may be left out when the request was captured."""

    request_id: Id
    rating: Literal[-1, 0, 1] = 0
    correction: Annotated[Text, Field(max_length=_LONGEST_CORRECTION)] | None = None
    workload: Annotated[Text, Field(max_length=_LONGEST_NAME)] | None = None


def router(service: Service, settings: Settings, landing: Landing) -> APIRouter:
    """Return the routes."""
    api = APIRouter()
    FilesApi(service, settings).add_to(api)
    _add_feedback(api, service)
    _add_views(api, service)
    _add_preview(api, landing)
    return api


def _add_feedback(api: APIRouter, service: Service) -> None:
    @api.post("/v1/feedback", tags=["feedback"], status_code=202, response_model=None)
    async def feedback(body: FeedbackBody) -> dict[str, Any] | Response:
        """Take feedback on an answer; it goes the way of feedback that came over Kafka."""
        async with service.unit_of_work() as uow:
            workload = (
                await capture_store.workload_of(uow.session, body.request_id) or body.workload
            )
            if workload is None or service.workloads.get(workload) is None:
                named = f"no workload `{workload}`" if workload else "the request is not known yet"
                return problem(
                    404, f"{named}: send `workload`, the name of an applied manifest", "workload"
                )
            given = FeedbackGiven(
                request_id=body.request_id, rating=body.rating, correction=body.correction
            )
            event = uow.emit(given, workload=workload, subject=body.request_id)
        return {"id": event.id, "request_id": body.request_id, "workload": workload}


def _add_views(api: APIRouter, service: Service) -> None:
    @api.get("/sources", tags=["sources"])
    async def sources(workload: str | None = None) -> dict[str, Any]:
        """List declared sources and what became of them."""
        query = select(SourceRow).order_by(SourceRow.workload, SourceRow.name)
        if workload:
            query = query.where(SourceRow.workload == workload)
        async with service.reading() as session:
            rows = list(await session.scalars(query))
        shown = ("workload", "name", "spec", "revision", "state", "reason", "rows", "batch_id",
                 "updated_at")  # fmt: skip
        return {"data": [{field: getattr(row, field) for field in shown} for row in rows]}

    @api.get("/records", tags=["records"])
    async def records() -> dict[str, Any]:
        """Count landed records, captured requests and feedback, by workload."""
        async with service.reading() as session:
            return {"data": await _counts(session)}

    @api.get("/records/{workload}", tags=["records"])
    async def batches(workload: str) -> dict[str, Any]:
        """List a workload's landed batches, newest first."""
        query = (
            select(BatchRow)
            .where(BatchRow.workload == workload)
            .order_by(BatchRow.landed_at.desc())
            .limit(_PAGE)
        )
        async with service.reading() as session:
            rows = list(await session.scalars(query))
        shown = ("batch_id", "source", "rows", "table_uri", "table_version", "landed_at")
        return {"data": [{field: getattr(row, field) for field in shown} for row in rows]}


async def _counts(session: AsyncSession) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    landed = select(BatchRow.workload, func.sum(BatchRow.rows)).group_by(BatchRow.workload)
    captured = select(CaptureRow.workload, func.count()).group_by(CaptureRow.workload)
    judged = select(FeedbackRow.workload, func.count()).group_by(FeedbackRow.workload)
    waiting = judged.where(FeedbackRow.usable, FeedbackRow.batch_id.is_(None))
    named = (("landed", landed), ("captured", captured), ("feedback", judged),
             ("feedback_waiting", waiting))  # fmt: skip
    for name, query in named:
        for workload, count in await session.execute(query):
            found.setdefault(workload, {})[name] = int(count)
    return found


def _add_preview(api: APIRouter, landing: Landing) -> None:
    @api.post("/sources/preview", tags=["sources"], response_model=None)
    async def preview(
        source: Source, shown: Annotated[int, Query(ge=0, le=_PREVIEW_ROWS)] = _PREVIEW_ROWS
    ) -> dict[str, Any] | Response:
        """Count the rows that a source would land, return the first of them, and land nothing."""
        try:
            rows = await landing.rows_of(source)
        except UnreadableSource as error:
            return problem(400, error.reason, error.param, "unreadable_source")
        first = rows[:shown]
        return {
            "data": [{"prompt": row.prompt, "completion": row.completion} for row in first],
            "rows": len(rows),
        }
