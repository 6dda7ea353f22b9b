"""HTTP: what was evaluated, and how it came out. Never any text of a row."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from headrace_evaluator.adapters import evaluations
from headrace_evaluator.adapters.tables import EvaluationRow
from headrace_events.evaluation import GateResult, MetricResult
from headrace_events.references import DatasetRef, ModelRef
from headrace_kit import Service
from headrace_kit.listing import Cursor, Limit, Page, read_cursor
from headrace_kit.listing import cursor as cursor_of

_PLAIN = r"^[0-9A-Za-z._:-]{1,64}$"


class EvaluationOut(BaseModel):
    """One evaluation; metrics and gates are empty until it is completed."""

    id: str
    workload: str
    state: str
    model: ModelRef
    incumbent: ModelRef
    dataset: DatasetRef
    metrics: tuple[MetricResult, ...] = ()
    gates: tuple[GateResult, ...] = ()
    passed: bool | None = None
    seconds: float | None = None
    reason: str | None = None
    created_at: datetime
    finished_at: datetime | None = None


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/evaluations", tags=["evaluations"])

    @routes.get("")
    async def list_evaluations(
        workload: str | None = None,
        version: Annotated[str | None, Query(pattern=_PLAIN, description="of the model")] = None,
        id: Annotated[str | None, Query(pattern=_PLAIN, description="how the id begins")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[EvaluationOut]:
        """List evaluations, newest first."""
        before = read_cursor(cursor, datetime, str)
        async with service.reading() as session:
            rows = await evaluations.newest(
                session,
                workload=workload,
                version=version,
                prefix=id,
                before=(before[0], before[1]) if before else None,
                limit=limit + 1,
            )
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(
            data=[_out(row) for row in rows[:limit]],
            next=cursor_of(last.created_at, last.id) if last else None,
        )

    @routes.get("/{evaluation_id}")
    async def get_evaluation(evaluation_id: str) -> EvaluationOut:
        """Return one evaluation with the result of each metric and gate."""
        async with service.reading() as session:
            row = await evaluations.find(session, evaluation_id)
        if row is None:
            raise HTTPException(404, "no such evaluation: GET /evaluations lists them")
        return _out(row)

    return routes


def _out(row: EvaluationRow) -> EvaluationOut:
    return EvaluationOut.model_validate(
        {
            "id": row.id,
            "workload": row.workload,
            "state": row.state,
            "reason": row.reason,
            "created_at": row.created_at,
            "finished_at": row.finished_at,
            **row.order,
            **(row.verdict or {}),
        }
    )
