"""Serving's own tables."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from headrace_kit.database import UtcDateTime


class Base(DeclarativeBase):
    """Base of serving's tables."""


class RouteRow(Base):
    """One workload's route."""

    __tablename__ = "serving_routes"

    workload: Mapped[str] = mapped_column(primary_key=True)
    production: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    canary: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Time of the registry's newest promotion or rollback: an older one that comes late is none."""


class VersionRow(Base):
    """A version that the registry told of."""

    __tablename__ = "serving_versions"

    workload: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[dict[str, Any]] = mapped_column(JSON)
    standing: Mapped[Literal["known", "rejected", "retired"]] = mapped_column(String(16))
    reason: Mapped[str]
    registered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """Time of the newest event that said how it stands."""


class RolloutRow(Base):
    """One canary, for people who look back."""

    __tablename__ = "serving_rollouts"

    rollout_id: Mapped[str] = mapped_column(primary_key=True)
    workload: Mapped[str] = mapped_column(index=True)
    version: Mapped[str]
    state: Mapped[str]
    """loading, running, succeeded or failed."""
    step: Mapped[int]
    weight: Mapped[int]
    reason: Mapped[str] = mapped_column(default="")
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
