"""A service's database: its own tables and the chassis' (outbox, inbox, jobs, workloads)."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import JSON, DateTime, Index, LargeBinary, MetaData, String, event, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    ORMExecuteState,
    Session,
    mapped_column,
)
from sqlalchemy.types import TypeDecorator

from headrace_kit.additions import create_and_add


def sqlite_url(file: Path, driver: str = "sqlite+aiosqlite") -> str:
    """Return SQLAlchemy's URL of a file, whatever letters its path has: `%`, `#`, `?`, a space."""
    # Only what SQLAlchemy reads as something else: MLflow makes the folder that the URL shows.
    path = re.sub(r"%(?=[0-9A-Fa-f]{2})|\?", lambda found: quote(found[0]), str(file.absolute()))
    return f"{driver}:///{path}"


class UtcDateTime(TypeDecorator[datetime]):
    """A timestamp in UTC, in SQLite too, which keeps what a clock shows and forgets its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: object) -> datetime | None:
        """Turn what another clock shows (events of others may say +02:00) into UTC."""
        if value is None or value.tzinfo in (None, UTC):
            return value
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: object) -> datetime | None:
        """Give the zone back that SQLite dropped."""
        if value is not None and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value


class KitBase(DeclarativeBase):
    """Tables that the chassis keeps in every service's database."""


class OutboxRow(KitBase):
    """An event written with its state change, waiting for the relay.

    Of two events with one key, the one with the smaller `seq` was committed first (see
    `unit_of_work`): autoincrement alone does not say that.
    """

    __tablename__ = "kit_outbox"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(String(36), unique=True)
    type: Mapped[str]
    topic: Mapped[str]
    key: Mapped[str]
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    refused: Mapped[str | None]
    """Class of the error for which the broker will never take it; no longer sent, kept to be seen.
    Tried again at the next start."""


class InboxRow(KitBase):
    """An event whose effect is in this database; CloudEvents makes ids unique per source only."""

    __tablename__ = "kit_inbox"

    source: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    handled_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class JobRow(KitBase):
    """Long work under a lease; `kind` and `key` name it once."""

    __tablename__ = "kit_jobs"
    __table_args__ = (
        Index("kit_jobs_waiting", "kind", "state", "created_at"),
        Index("kit_jobs_of_cause", "kind", "cause_id"),
        Index("kit_jobs_ended", "finished_at"),
    )

    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    workload: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    cause: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    cause_id: Mapped[str | None]
    """`cause["id"]`, to be found by."""
    state: Mapped[str] = mapped_column(default="queued")
    """queued, running, done, failed or cancelled."""
    attempt: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None]
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str | None]
    gives_up: Mapped[bool | None]
    """No attempt is left: what remains is to say so, and that did not work yet."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WorkloadRow(KitBase):
    """This service's copy of a workload manifest."""

    __tablename__ = "kit_workloads"

    name: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[str]
    manifest: Mapped[dict[str, Any]] = mapped_column(JSON)
    event_id: Mapped[str | None]
    """The event that it came with; None: an older release wrote it."""
    applied_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When that event was made: an older manifest that comes later does not count."""


class LeaseRow(KitBase):
    """A named right that one replica holds at a time (the relay's)."""

    __tablename__ = "kit_leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    until: Mapped[datetime] = mapped_column(UtcDateTime)


def _tune_sqlite(connection: DBAPIConnection, _record: object) -> None:
    # The driver must not open transactions by itself: `_begin_immediate` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=15000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _only_read(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()


def _begin_deferred(connection: Any) -> None:
    # In WAL a reader has its snapshot and neither waits for the writer nor keeps it waiting.
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Any) -> None:
    # A deferred transaction that reads and then writes can fail with "database is locked";
    # taking the write lock at the start makes writers queue instead.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class _ReadingSession(Session):
    """A session that refuses what takes a lock, also where the database would let it pass."""


@event.listens_for(_ReadingSession, "do_orm_execute")
def _refuse_locks(state: ORMExecuteState) -> None:
    locking = getattr(state.statement, "_for_update_arg", None) is not None
    if locking or state.is_insert or state.is_update or state.is_delete:
        raise RuntimeError("a reading session neither locks nor changes rows")


@event.listens_for(_ReadingSession, "before_flush")
def _refuse_changes(session: Session, _context: object, _instances: object) -> None:
    if session.new or session.deleted or any(map(session.is_modified, session.dirty)):
        raise RuntimeError("a reading session neither locks nor changes rows")


class Database:
    """Engine, schema and sessions of one service."""

    def __init__(self, url: str, tables: MetaData | None = None) -> None:
        parsed = make_url(url)
        self._tables = tables
        self.sqlite = parsed.get_backend_name() == "sqlite"
        if self.sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine: AsyncEngine = create_async_engine(parsed, pool_pre_ping=not self.sqlite)
        if self.sqlite:
            event.listen(self.engine.sync_engine, "connect", _tune_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_immediate)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._read_engine = self._make_read_engine(parsed)
        self._readers = async_sessionmaker(
            self._read_engine, expire_on_commit=False, sync_session_class=_ReadingSession
        )

    def _make_read_engine(self, url: URL) -> AsyncEngine:
        if not self.sqlite:
            return self.engine.execution_options(postgresql_readonly=True)
        if url.database in (None, "", ":memory:"):  # each connection would be its own database
            return self.engine
        engine = create_async_engine(url)
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
        event.listen(engine.sync_engine, "connect", _only_read)
        event.listen(engine.sync_engine, "begin", _begin_deferred)
        return engine

    async def create(self) -> None:
        """Create the tables that are missing, and what an older release's lack (`additions`)."""
        async with self.engine.begin() as connection:
            added = await connection.run_sync(create_and_add, KitBase.metadata)
            if "kit_jobs.cause_id" in added:
                await connection.execute(
                    update(JobRow).values(cause_id=JobRow.cause["id"].as_string())
                )
            if self._tables is not None:
                await connection.run_sync(create_and_add, self._tables)

    async def is_empty(self) -> bool:
        """Say whether no table has a row."""
        tables = [*KitBase.metadata.sorted_tables]
        tables += self._tables.sorted_tables if self._tables is not None else []
        async with self._sessions() as session:
            for table in tables:
                if (await session.execute(select(1).select_from(table).limit(1))).first():
                    return False
        return True

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a session whose changes are committed at the end, or not at all."""
        async with self._sessions() as session, session.begin():
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Open a session that sees one moment and changes nothing.

        It takes no lock: neither does it wait for writers nor they for it. Raises RuntimeError on
        a change, or on `with_for_update`.
        """
        async with self._readers() as session, session.begin():
            yield session

    async def close(self) -> None:
        """Release the connections."""
        await self._read_engine.dispose()
        await self.engine.dispose()
