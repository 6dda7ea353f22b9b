"""The registry's tables. They are the truth; MLflow's registry mirrors them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from headrace_kit.database import UtcDateTime


class Base(DeclarativeBase):
    """Base of the registry's tables."""


def _one_per_workload(state: str) -> Index:
    only = text(f"state = '{state}'")
    name = f"one_{state}_per_workload"
    return Index(name, "name", unique=True, sqlite_where=only, postgresql_where=only)


class VersionRow(Base):
    """One model version."""

    __tablename__ = "model_versions"
    # Whatever goes wrong in the code above: never two canaries, never two in production.
    __table_args__ = (_one_per_workload("approved"), _one_per_workload("promoted"))

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    base: Mapped[str]
    artefact: Mapped[dict[str, Any]] = mapped_column(JSON)
    dataset: Mapped[dict[str, Any]] = mapped_column(JSON)
    evaluation: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    evaluated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    replaced: Mapped[str | None]
    withdrawn: Mapped[bool | None]
    """Retired by a person."""
    reason: Mapped[str] = mapped_column(default="")
    job_id: Mapped[str]
    run_id: Mapped[str]
    training: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Steps, seconds, metrics and settings of the training."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class VersionEventRow(Base):
    """An event in the life of a version: the audit trail, refusals included."""

    __tablename__ = "version_events"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(index=True)
    version: Mapped[str]
    event_id: Mapped[str]
    type: Mapped[str]
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    refused: Mapped[bool] = mapped_column(default=False)
    note: Mapped[str] = mapped_column(default="")


class CuratedRow(Base):
    """What is known of a dataset version: where its rows came from."""

    __tablename__ = "curated_datasets"

    workload: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    sources: Mapped[list[str]] = mapped_column(JSON)
    batches: Mapped[list[str]] = mapped_column(JSON)
    rejects: Mapped[dict[str, int]] = mapped_column(JSON)
    redactions: Mapped[dict[str, int]] = mapped_column(JSON)
    event_id: Mapped[str]
