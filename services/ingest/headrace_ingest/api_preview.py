"""HTTP: look at a source before declaring it; the rows are the ones that landing would take."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from headrace_events.workload import Source
from headrace_ingest.adapters.sources import SourceReader
from headrace_ingest.api_files import problem
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import select
from headrace_ingest.settings import Settings

_MAX_ROWS = 1000


def router(settings: Settings) -> APIRouter:
    """Return the route."""
    api = APIRouter()
    read = SourceReader(settings.max_file_bytes)

    @api.post("/sources/preview", tags=["sources"], response_model=None)
    async def preview(source: Annotated[Source, Body()]) -> dict[str, Any] | Response:
        """Read a source as a manifest would declare it; at most 1,000 rows come back."""
        try:
            rows = select(await read(source), source.part, source.limit)
        except UnreadableSource as error:
            return problem(400, error.reason, error.param)
        shown = [{"prompt": row.prompt, "completion": row.completion} for row in rows[:_MAX_ROWS]]
        return {"total": len(rows), "data": shown}

    return api
