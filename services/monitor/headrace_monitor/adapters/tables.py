"""The monitor's tables."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from headrace_kit.database import UtcDateTime


class Base(DeclarativeBase):
    """All of the monitor's tables."""


class OutcomeRow(Base):
    """One request's outcome: kept for canary, drift, feedback and for windows after a restart."""

    __tablename__ = "outcomes"
    __table_args__ = (
        Index("outcomes_of_version", "workload", "version", "at"),
        Index("outcomes_of_workload", "workload", "seq"),
        # Pruning must not give numbers away again: drift remembers how far it has read.
        {"sqlite_autoincrement": True},
    )

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    request_id: Mapped[str] = mapped_column(String(64), unique=True)
    workload: Mapped[str]
    version: Mapped[str]
    arm: Mapped[str]
    kind: Mapped[str]
    latency_ms: Mapped[float | None]
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    sketch: Mapped[bytes] = mapped_column(LargeBinary)


class RatingRow(Base):
    """The newest rating of a request; it may arrive before the request's outcome."""

    __tablename__ = "ratings"

    request_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    rating: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class RolloutRow(Base):
    """A roll-out that is judged step by step; `cause` is the event that opened the step."""

    __tablename__ = "rollouts"

    rollout_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    workload: Mapped[str]
    candidate: Mapped[str]
    incumbent: Mapped[str]
    step: Mapped[int]
    weight: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    judged_step: Mapped[int] = mapped_column(default=-1)
    running: Mapped[bool] = mapped_column(default=True, index=True)
    cause: Mapped[dict[str, Any]] = mapped_column(JSON)


class DriftRow(Base):
    """Where a workload's drift watch stands: its reference and the next window's first outcome."""

    __tablename__ = "drift"

    workload: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[list[str] | None] = mapped_column(JSON)
    """Sketches in hexadecimal; None until the first window is full."""
    after_seq: Mapped[int] = mapped_column(default=0)
    drifted: Mapped[bool] = mapped_column(default=False)
    value: Mapped[float | None]
    threshold: Mapped[float | None]
    measured_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AlertRow(Base):
    """An alert, by workload and stable name; the newest raise or resolve counts."""

    __tablename__ = "alerts"

    workload: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    severity: Mapped[str]
    summary: Mapped[str]
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_step: Mapped[str | None]
    resolved_reason: Mapped[str | None]
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Of this opening: one that is raised anew is looked at anew."""
    acknowledged_reason: Mapped[str | None]
    silenced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    silenced_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    silenced_reason: Mapped[str | None]


class StartRow(Base):
    """A start of a service's process."""

    __tablename__ = "starts"
    __table_args__ = (Index("starts_of_service", "service", "at"),)

    event_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    service: Mapped[str]
    instance: Mapped[str]
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class LetterRow(Base):
    """A dead letter that nobody has dealt with yet."""

    __tablename__ = "open_letters"

    service: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class TripRow(Base):
    """A guardrail that tripped: which check, where, what it did; never the text."""

    __tablename__ = "trips"

    event_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    workload: Mapped[str]
    request_id: Mapped[str]
    stage: Mapped[str]
    check: Mapped[str] = mapped_column("check_name")
    action: Mapped[str]
    labels: Mapped[list[str]] = mapped_column(JSON)
    trace_id: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class LoopRow(Base):
    """A snapshot of a workload's loop; the row without a name says how far all are folded."""

    __tablename__ = "loops"

    workload: Mapped[str] = mapped_column(primary_key=True)
    release: Mapped[str] = mapped_column(String(16))
    position: Mapped[int]
    state: Mapped[dict[str, Any]] = mapped_column(JSON)


class AuditRow(Base):
    """A control event as taken in; sealed into the chain right after."""

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(String(64), unique=True)
    type: Mapped[str]
    source: Mapped[str]
    workload: Mapped[str] = mapped_column(index=True)
    subject: Mapped[str]
    time: Mapped[datetime] = mapped_column(UtcDateTime)
    causation_id: Mapped[str | None]
    trace_id: Mapped[str | None]
    summary: Mapped[str]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    position: Mapped[int | None] = mapped_column(unique=True)
    previous: Mapped[str | None] = mapped_column(String(64), unique=True)
    hash: Mapped[str | None] = mapped_column(String(64))
