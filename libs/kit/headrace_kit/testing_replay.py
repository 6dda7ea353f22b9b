"""A service that lives on a log in memory, for tests of `headrace replay` without a broker.

Handlers, units of work, outbox, inbox and jobs are the real ones; only Kafka is a list.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy import MetaData, delete, select

from headrace_events import Event, EventData
from headrace_kit.database import Database, KitBase, OutboxRow
from headrace_kit.replay import Replay, Report, topics_of
from headrace_kit.service import Service

_SPAN = "00f067aa0ba902b7"
_MOST_JOBS = 1000
# What is no state: who holds what right now, and what is on its way out.
_LEFT_OUT = {"kit_outbox", "kit_leases"}
_UNTOLD: dict[str, set[str]] = {
    "kit_inbox": {"handled_at"},
    "kit_jobs": {"owner", "lease_until", "not_before", "gives_up"},
}

Dump = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class MemoryRecord:
    """A record of the log in memory."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class Life:
    """A service and all that was ever published around it."""

    service: Service
    tables: MetaData
    log: list[MemoryRecord] = field(default_factory=list)

    async def give(
        self,
        data: EventData,
        *,
        source: str = "test",
        workload: str,
        cause: Event[Any] | None = None,
        subject: str = "",
    ) -> Event[Any]:
        """Publish an event of somebody else, and let the service take it in and answer."""
        event: Event[Any] = Event.new(
            data, source=source, workload=workload, cause=cause, subject=subject
        )
        await self.give_event(event)
        return event

    async def give_event(self, event: Event[Any]) -> None:
        """Publish this event; the service takes it in, and what it emits is published too."""
        if event.traceparent is None:
            # As a real producer has it; else each reader would begin a trace of its own.
            event = event.model_copy(update={"traceparent": f"00-{uuid4().hex}-{_SPAN}-01"})
        headers = {k: v.encode() for k, v in event.headers().items()}
        await self._take_in(self._append(event.topic, event.workload, event.body(), headers))
        await self.publish()

    async def publish(self) -> None:
        """Publish the outbox, as the relay does; the service hears its own events too."""
        while True:
            async with self.service.unit_of_work() as uow:
                rows = (await uow.session.scalars(select(OutboxRow).order_by(OutboxRow.seq))).all()
                await uow.session.execute(
                    delete(OutboxRow).where(OutboxRow.seq.in_([row.seq for row in rows]))
                )
            if not rows:
                return
            for row in rows:
                headers = {k: v.encode() for k, v in row.headers.items()}
                await self._take_in(self._append(row.topic, row.key, row.body, headers))

    async def work(self) -> None:
        """Run the jobs that wait, of all kinds, until none is left."""
        for _ in range(_MOST_JOBS):
            ran = [await self._work_one(jobs) for jobs in self.service._jobs.values()]
            if not any(ran):
                return
        raise AssertionError("there is always another job")

    async def _work_one(self, jobs: Any) -> bool:
        if not await jobs.work_one():
            return False
        await self.publish()
        return True

    def _append(
        self, topic: str, key: str, body: bytes, headers: Mapping[str, bytes]
    ) -> MemoryRecord:
        record = MemoryRecord(
            topic, 0, len(self.log), len(self.log), key.encode(), body, tuple(headers.items())
        )
        self.log.append(record)
        return record

    async def _take_in(self, record: Any) -> None:
        parts = self.service.replayable
        if record.topic in parts.control.topics:
            await parts.control.consume(record)
        for stream in parts.streams:
            if record.topic in stream.topics:
                await stream.consume([record])

    async def dump(self) -> Dump:
        """Return the state of the service."""
        return await dump(self.service.database, self.tables)

    async def replayed(
        self,
        build: Callable[[], Service],
        *,
        prepare: Callable[[Service], Awaitable[None]] | None = None,
    ) -> tuple[Dump, Report, Service]:
        """Replay the log with another service of the kind, on its own, empty database."""
        fresh = build()
        await fresh.database.create()
        if prepare:
            await prepare(fresh)

        names = topics_of(fresh)

        async def read() -> AsyncIterator[Any]:
            for record in self.log:
                if record.topic in names:
                    yield record

        report = await Replay(fresh).run(read)
        return await dump(fresh.database, self.tables), report, fresh


async def dump(database: Database, tables: MetaData) -> Dump:
    """Return all rows of all tables that are state, in the order of their keys."""
    found: Dump = {}
    async with database.transaction() as session:
        for table in [*KitBase.metadata.sorted_tables, *tables.sorted_tables]:
            if table.name in _LEFT_OUT:
                continue
            rows = (await session.execute(select(table).order_by(*table.primary_key))).mappings()
            found[table.name] = [_told(table.name, dict(row)) for row in rows]
    return found


def _told(table: str, row: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in row.items() if k not in _UNTOLD.get(table, ())}
    if table == "kit_jobs" and kept["cause"]:
        # The span in which it was written down: of one process, not of the state.
        kept["cause"] = {k: v for k, v in kept["cause"].items() if k != "traceparent"}
    return kept


def rows_in(found: Dump, *names: str) -> Iterable[int]:
    """Return how many rows tables have: an equality of nothing with nothing shows nothing."""
    return [len(found[name]) for name in names]
