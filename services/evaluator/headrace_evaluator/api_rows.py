"""HTTP: the rows of an evaluation; questions and answers where asked for."""

import asyncio
import math
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from headrace_evaluator.adapters import evaluations, row_table
from headrace_evaluator.adapters.tables import EvaluationRow
from headrace_events.references import TableRef
from headrace_kit import Service
from headrace_kit.delta import TableUnreadable
from headrace_kit.listing import Cursor, Limit, Page, read_cursor
from headrace_kit.listing import cursor as cursor_of


class PairOut(BaseModel):
    """One metric of both models on one row. Perplexity: lower is better."""

    candidate: float | None
    incumbent: float | None


class EvaluatedRowOut(BaseModel):
    """One holdout row; `id` is the row's in the dataset version.

    `outcome` says whether the candidate's answer scores better than the incumbent's, `wrong` that
    it is not the expected one.
    """

    id: str
    outcome: Literal["better", "worse", "same"]
    changed: bool
    wrong: bool
    scores: dict[str, PairOut]
    prompt: str | None = None
    expected: str | None = None
    candidate: str | None = None
    incumbent: str | None = None


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/evaluations", tags=["evaluations"])
    root = service.settings.storage.root

    @routes.get("/{evaluation_id}/rows")
    async def list_rows(
        evaluation_id: str,
        only: Literal["changed", "wrong", "all"] = "all",
        text: Annotated[bool, Query(description="with questions and answers")] = False,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Page[EvaluatedRowOut]:
        """List the rows of an evaluation with the scores of both models."""
        after = read_cursor(cursor, str)
        async with service.reading() as session:
            row = await evaluations.find(session, evaluation_id)
        if row is None:
            raise HTTPException(404, "no such evaluation: GET /evaluations lists them")
        found = await _page(root, row, only, after[0] if after else None, limit + 1)
        told: dict[str, tuple[str, str]] = {}
        if text:
            ids = {one["record_id"] for one in found[:limit]} - {""}
            table = TableRef.model_validate(row.order["dataset"]["table"])
            told = await asyncio.to_thread(row_table.questions, table, ids)
        return Page(
            data=[_row(one, told, text=text) for one in found[:limit]],
            next=cursor_of(found[limit - 1]["row_key"]) if len(found) > limit else None,
        )

    return routes


async def _page(
    root: str, row: EvaluationRow, only: str, after: str | None, limit: int
) -> list[dict[str, Any]]:
    if row.state != "completed":
        why = f": {row.reason}" if row.reason else ""
        raise HTTPException(404, f"the evaluation has no rows, it is {row.state}{why}")
    try:
        found = await asyncio.to_thread(
            row_table.page, root, row.workload, row.id, only=only, after=after, limit=limit
        )
    except TableUnreadable:
        found = None
    if found is None:
        raise HTTPException(
            404, "the rows of this evaluation were not kept by the release that made it"
        )
    return found


def _row(found: dict[str, Any], told: dict[str, tuple[str, str]], *, text: bool) -> EvaluatedRowOut:
    scores = {
        metric: PairOut(candidate=ours, incumbent=theirs)
        for metric in ("exact_match", "rouge_l", "perplexity")
        if (ours := _score(found, "candidate", metric)) is not None
        and (theirs := _score(found, "incumbent", metric)) is not None
    }
    prompt, expected = told.get(found["record_id"], (None, None))
    return EvaluatedRowOut(
        id=found["record_id"],
        outcome=found["outcome"],
        changed=found["changed"],
        wrong=found["wrong"],
        scores=scores,
        prompt=prompt,
        expected=expected,
        candidate=found["candidate_answer"] if text else None,
        incumbent=found["incumbent_answer"] if text else None,
    )


def _score(found: dict[str, Any], side: str, metric: str) -> float | None:
    if metric != "perplexity":
        value: float | None = found[f"{side}_{metric}"]
        return value
    loss, tokens = found[f"{side}_loss"], found[f"{side}_tokens"]
    if loss is None or not tokens:
        return None
    # JSON has no infinity; what is beyond e^700 is as bad.
    return math.exp(min(loss / tokens, 700.0))
