"""Data-quality's own tables: batches, plans and versions; no user text."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from headrace_kit.database import UtcDateTime


class Base(DeclarativeBase):
    """Data-quality's tables."""


class BatchRow(Base):
    """A batch that ingest announced."""

    __tablename__ = "batches"
    __table_args__ = (Index("batches_open", "workload", "state"),)

    batch_id: Mapped[str] = mapped_column(primary_key=True)
    workload: Mapped[str]
    source: Mapped[str]
    rows: Mapped[int]
    table_uri: Mapped[str]
    table_version: Mapped[int]
    state: Mapped[str]
    """pending, curated (it is in a version) or used_up (nothing of it was new)."""
    version: Mapped[int | None]
    announced_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PlanRow(Base):
    """What one curation reads and which version it makes, fixed before it starts."""

    __tablename__ = "plans"
    __table_args__ = (
        # One version of a workload is made at a time.
        Index(
            "plans_one_open",
            "workload",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
    )

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    workload: Mapped[str]
    version: Mapped[int]
    previous_version: Mapped[int]
    batches: Mapped[list[str]] = mapped_column(JSON)
    trigger: Mapped[str]
    state: Mapped[str]
    """open, done or rejected."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class VersionRow(Base):
    """A dataset version."""

    __tablename__ = "dataset_versions"

    workload: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    table_uri: Mapped[str]
    table_version: Mapped[int]
    digest: Mapped[str]
    train_rows: Mapped[int]
    holdout_rows: Mapped[int]
    profile: Mapped[dict[str, Any]] = mapped_column(JSON)
    rejects: Mapped[dict[str, int]] = mapped_column(JSON)
    rejects_id: Mapped[str | None]
    """Names their rows in rejects/<workload>; None: there are none, or a release before made it."""
    redactions: Mapped[dict[str, int]] = mapped_column(JSON)
    batches: Mapped[list[str]] = mapped_column(JSON)
    sources: Mapped[list[str]] = mapped_column(JSON)
    trigger: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RefusalRow(Base):
    """Why there is no next version yet: the newest reason, until the version is made."""

    __tablename__ = "dataset_refusals"

    workload: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    """The version that would have been."""
    reason: Mapped[str]
    rejects: Mapped[dict[str, int]] = mapped_column(JSON)
    rejects_id: Mapped[str | None]
    used_up: Mapped[bool]
    """Whether nothing was new; otherwise the batches wait for more."""
    batches: Mapped[list[str]] = mapped_column(JSON)
    sources: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
