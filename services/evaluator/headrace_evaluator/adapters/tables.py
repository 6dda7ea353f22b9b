"""The evaluator's tables."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from headrace_kit.database import UtcDateTime


class Base(DeclarativeBase):
    """Base of the evaluator's tables."""


class EvaluationRow(Base):
    """One evaluation, from its order to its verdict."""

    __tablename__ = "evaluations"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    workload: Mapped[str] = mapped_column(index=True)
    state: Mapped[str]
    """queued, running, completed or failed."""
    order: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Claim checks of model, incumbent and dataset."""
    verdict: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """Metrics, gates, passed, seconds."""
    reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ScoreRow(Base):
    """One model on one row: kept, so that an incumbent is not generated again."""

    __tablename__ = "scores"

    model_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    row_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    exact_match: Mapped[float | None]
    rouge_l: Mapped[float | None]
    loss: Mapped[float | None]
    tokens: Mapped[int | None]
