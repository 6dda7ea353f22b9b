"""HTTP: the rows of a dataset version, and those that were dropped; their text where asked for."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from headrace_data_quality.adapters import row_pages
from headrace_data_quality.adapters.row_pages import Asked
from headrace_data_quality.adapters.tables import RefusalRow
from headrace_data_quality.api import any_version, made_version
from headrace_data_quality.core import pii
from headrace_data_quality.core.reasons import explain
from headrace_data_quality.core.rows import Kept
from headrace_detect import Budget, OverBudget
from headrace_events.references import TableRef
from headrace_kit import Service
from headrace_kit.delta import TableUnreadable, literal
from headrace_kit.listing import Cursor, Limit, Page, read_cursor
from headrace_kit.listing import cursor as cursor_of

Text = Annotated[bool, Query(description="with the rows' text")]
_REDACT_SECONDS = 0.05
"""CPU seconds to look for personal data in one shown row; an ordinary one takes a fiftieth."""


class RowOut(BaseModel):
    """A row of a dataset version. `file_row` is its line in its file, the header being line 1."""

    id: str
    split: str
    language: str
    origin: str
    source: str
    file_row: int | None
    prompt_chars: int
    completion_chars: int
    prompt: str | None = None
    completion: str | None = None


class KeptOut(BaseModel):
    """The row that a dropped one collides with."""

    id: str
    source: str
    file_row: int | None
    prompt: str | None = None
    completion: str | None = None


class RejectOut(BaseModel):
    """A dropped row; `detail` says why in words. Personal data in its text is redacted."""

    id: str
    reason: str
    detail: str
    source: str
    file_row: int | None
    kept: KeptOut | None
    similarity: float | None
    prompt: str | None = None
    completion: str | None = None


def router(service: Service) -> APIRouter:
    """Return the routes."""
    api = APIRouter(prefix="/datasets/{workload}/versions/{number}", tags=["datasets"])
    root = service.settings.storage.root

    @api.get("/rows")
    async def list_rows(
        workload: str,
        number: int,
        split: Literal["train", "holdout"] | None = None,
        text: Text = False,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Page[RowOut]:
        """List the rows of a version by source and file row."""
        row = await made_version(service, workload, number)
        table = TableRef(uri=row.table_uri, version=row.table_version)
        only = f"split = {literal(split)}" if split else "true"
        asked = Asked(read_cursor(cursor, str, int, str), limit + 1, only)
        found = await _read(row_pages.dataset_rows, table, asked, text=text)
        return Page(
            data=[RowOut.model_validate(_with_id(one)) for one in found[:limit]],
            next=_next(found, limit),
        )

    @api.get("/rejects")
    async def list_rejects(
        workload: str,
        number: int,
        reason: Annotated[str | None, Query(max_length=100)] = None,
        text: Text = False,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Page[RejectOut]:
        """List the rows that were dropped on the way to a version, also to one that was refused."""
        after = read_cursor(cursor, str, int, str)
        row = await any_version(service, workload, number)
        if reason is not None and reason not in row.rejects:
            known = ", ".join(row.rejects) or "none"
            raise HTTPException(400, f"reason: no row was dropped for it; reasons here: {known}")
        refused = isinstance(row, RefusalRow)
        if not row.rejects or (refused and row.rejects_id is None):
            return Page(data=[])
        only = row_pages.of_rejects(row.rejects_id, number)
        only += f" AND reason = {literal(reason)}" if reason else ""
        waits = isinstance(row, RefusalRow) and not row.used_up
        asked = Asked(after, limit + 1, only)
        found = await _read(row_pages.rejects, root, workload, asked, refused=waits)
        shown = [_reject(one) for one in found[:limit]]
        if text:
            manifest = service.workloads.get(workload)
            keep = manifest is not None and manifest.spec.data.pii == "keep"
            await asyncio.to_thread(_add_texts, root, workload, shown, redact=not keep)
        return Page(data=shown, next=_next(found, limit))

    return api


async def _read(read: Any, *arguments: Any, **named: Any) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = await asyncio.to_thread(read, *arguments, **named)
    except (TableUnreadable, LookupError):
        raise HTTPException(
            404, "the rows cannot be read: their table is gone from the storage, or unreachable"
        ) from None
    return found


def _next(found: list[dict[str, Any]], limit: int) -> str | None:
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return cursor_of(last["source"], last["file_row"], last["record_id"])


def _with_id(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "id": found["record_id"], "file_row": found["file_row"] or None}


def _reject(found: dict[str, Any]) -> RejectOut:
    told = found["rejects_id"] is not None
    kept = None
    if found["kept_id"]:
        kept = Kept(found["kept_id"], found["kept_source"] or "", found["kept_file_row"])
    return RejectOut(
        id=found["record_id"],
        reason=found["reason"],
        detail=explain(found["reason"], kept, found["similarity"], told=told),
        source=found["source"],
        file_row=found["file_row"] or None,
        kept=KeptOut(id=kept.record_id, source=kept.source, file_row=kept.file_row)
        if kept else None,
        similarity=found["similarity"],
    )  # fmt: skip


def _add_texts(root: str, workload: str, shown: list[RejectOut], *, redact: bool) -> None:
    both = [one for reject in shown for one in (reject, reject.kept) if one is not None]
    texts = row_pages.raw_texts(root, workload, {one.id for one in both})
    for one in both:
        if one.id not in texts:
            continue  # landed by other means, or erased
        prompt, completion = texts[one.id]
        if not redact:
            one.prompt, one.completion = prompt, completion
            continue
        try:
            with Budget(_REDACT_SECONDS) as budget:
                prompt, _ = pii.redact(prompt, budget)
                completion, _ = pii.redact(completion, budget)
        except OverBudget:
            continue  # what was not read to its end may hold anybody's data
        one.prompt, one.completion = prompt, completion
