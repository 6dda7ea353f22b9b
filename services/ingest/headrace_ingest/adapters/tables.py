"""Ingest's own tables. User text is in them only until it is in the Delta tables."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from headrace_kit.database import UtcDateTime


class Base(DeclarativeBase):
    """Ingest's tables."""


class SourceRow(Base):
    """A source of a manifest and what became of reading it."""

    __tablename__ = "sources"

    workload: Mapped[str] = mapped_column(primary_key=True)
    source_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    revision: Mapped[str]
    state: Mapped[str]
    """queued, landed, unchanged (its rows were landed before) or rejected."""
    reason: Mapped[str | None]
    batch_id: Mapped[str | None]
    rows: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BatchRow(Base):
    """A batch that is in the raw table and was announced."""

    __tablename__ = "batches"

    batch_id: Mapped[str] = mapped_column(primary_key=True)
    workload: Mapped[str] = mapped_column(index=True)
    source: Mapped[str]
    rows: Mapped[int]
    table_uri: Mapped[str]
    table_version: Mapped[int]
    landed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class FileRow(Base):
    """An uploaded file."""

    __tablename__ = "files"

    file_id: Mapped[str] = mapped_column(primary_key=True)
    filename: Mapped[str]
    purpose: Mapped[str]
    size: Mapped[int]
    workload: Mapped[str | None]
    prompt: Mapped[str]
    completion: Mapped[str]
    state: Mapped[str]
    """uploaded, processed or error, as OpenAI names them."""
    reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class CaptureRow(Base):
    """A captured request: its record waits here for the next flush, its id stays."""

    __tablename__ = "captures"
    __table_args__ = (Index("captures_by_flush", "flush_id"),)

    request_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    workload: Mapped[str]
    outcome: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    record: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The interaction, until it is in the traffic table."""
    flush_id: Mapped[str | None]


class FlushRow(Base):
    """A batch of captures on its way into the traffic table."""

    __tablename__ = "flushes"

    flush_id: Mapped[str] = mapped_column(primary_key=True)
    workload: Mapped[str]


class FeedbackRow(Base):
    """The newest feedback on a request; it may be here before the request itself is."""

    __tablename__ = "feedback"
    __table_args__ = (Index("feedback_open", "workload", "batch_id"),)

    request_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    workload: Mapped[str]
    rating: Mapped[int]
    correction: Mapped[str | None]
    """Until it is in the traffic table."""
    usable: Mapped[bool]
    revision: Mapped[int]
    judged: Mapped[bool]
    """Whether this revision is in the traffic table."""
    batch_id: Mapped[str | None]
    """The raw batch that took it up."""
    given_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """None in a row of an older release."""
