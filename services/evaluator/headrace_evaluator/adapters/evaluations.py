"""Evaluations in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_evaluator.adapters.tables import EvaluationRow
from headrace_evaluator.core.order import Order
from headrace_events.evaluation import EvaluationCompleted

_ORDER = {"model", "incumbent", "dataset"}
_VERDICT = {"metrics", "gates", "passed", "seconds"}


def to_json(order: Order) -> dict[str, Any]:
    """Write an order as JSON."""
    return {name: getattr(order, name).model_dump(mode="json") for name in _ORDER}


def add(session: AsyncSession, order: Order, workload: str, at: datetime) -> None:
    """Write an order down."""
    session.add(
        EvaluationRow(
            id=order.evaluation_id,
            workload=workload,
            state="queued",
            order=to_json(order),
            created_at=at,
        )
    )


async def started(session: AsyncSession, evaluation_id: str) -> None:
    """Say that the work is under way."""
    row = await session.get(EvaluationRow, evaluation_id)
    if row:
        row.state = "running"


async def completed(session: AsyncSession, done: EvaluationCompleted, at: datetime) -> None:
    """Write the verdict."""
    row = await session.get_one(EvaluationRow, done.evaluation_id)
    row.state, row.finished_at, row.reason = "completed", at, None
    row.verdict = done.model_dump(mode="json", include=_VERDICT)


async def failed(session: AsyncSession, evaluation_id: str, reason: str, at: datetime) -> None:
    """Write that there are no scores, and why."""
    row = await session.get(EvaluationRow, evaluation_id)
    if row:
        row.state, row.finished_at, row.reason = "failed", at, reason


async def find(session: AsyncSession, evaluation_id: str) -> EvaluationRow | None:
    """Return one evaluation."""
    return await session.get(EvaluationRow, evaluation_id)


async def newest(
    session: AsyncSession,
    *,
    workload: str | None = None,
    version: str | None = None,
    prefix: str | None = None,
    before: tuple[datetime, str] | None = None,
    limit: int,
) -> Sequence[EvaluationRow]:
    """Return evaluations, newest first, those before (created_at, id) and whose id begins so."""
    query = (
        select(EvaluationRow)
        .order_by(EvaluationRow.created_at.desc(), EvaluationRow.id.desc())
        .limit(limit)
    )
    if workload:
        query = query.where(EvaluationRow.workload == workload)
    if version:
        query = query.where(EvaluationRow.order["model"]["version"].as_string() == version)
    if prefix:
        query = query.where(EvaluationRow.id.startswith(prefix, autoescape=True))
    if before:
        at, last = before
        older = EvaluationRow.created_at < at
        query = query.where(older | ((EvaluationRow.created_at == at) & (EvaluationRow.id < last)))
    return (await session.scalars(query)).all()
