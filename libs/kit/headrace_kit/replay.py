"""Make a service's state again from the log, into an empty database, without any effect elsewhere.

    python -m headrace_kit replay --service registry     (settings from the environment)

Every event that the service has handled is handled again, by the same handlers. What they emit and
enqueue is in the log already, so it is not written again. What was decided outside handlers - the
end of a job, a judgement of a timer - is taken from the service's own events, by what it said to
`Service.replays`. See docs/adr/0009.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from sqlalchemy import func, select

from headrace_events import Event, InvalidEvent, parse, topics
from headrace_events.catalogue import EVENT_TYPES
from headrace_kit.consumer import ControlConsumer, Handler
from headrace_kit.database import JobRow
from headrace_kit.dead_letters import HEADER_PREFIX
from headrace_kit.history import History
from headrace_kit.log_reader import end_offsets, read_log
from headrace_kit.stream import Stream
from headrace_kit.unit_of_work import UnitsOfWork

if TYPE_CHECKING:
    from headrace_kit.service import Service

_LOG = structlog.get_logger(__name__)


class Record(Protocol):
    """What is needed of a Kafka record."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    headers: Any


Log = Callable[[], AsyncIterator[Record]]
"""Opens the log from its beginning: all topics of the service, merged by time."""


class ReplayRefused(RuntimeError):
    """The state cannot be made again here; the message says what to do."""


@dataclass(frozen=True)
class Replayable:
    """The parts of a service that know what an event means for its state."""

    units: UnitsOfWork
    control: ControlConsumer
    streams: Sequence[Stream]
    own: Mapping[str, Sequence[Handler]]
    """By type, what events of the service itself mean."""
    at_the_end: Sequence[Callable[[], Awaitable[object]]]

    @property
    def control_types(self) -> set[str]:
        """The types that are handled with the inbox."""
        return {model.TYPE for model in self.control.models}

    @property
    def types(self) -> set[str]:
        """The types that say something about the service's state."""
        return {*self.control_types, *self.own, *(t for s in self.streams for t in s.models)}

    def stream_of(self, event_type: str) -> Stream | None:
        """Return the stream that keeps state of such events."""
        return next((s for s in self.streams if event_type in s.models), None)


@dataclass
class Report:
    """What a replay did."""

    service: str
    events: int = 0
    skipped_dead: int = 0
    """Records that the service had dead-lettered; a replayed one is in the log a second time."""
    failed: list[str] = field(default_factory=list)
    """Ids of events whose handler failed now, and so may have had no effect then either."""
    unpublished: int = 0
    """Events that were written but never published; they are when the service starts."""
    open_jobs: int = 0
    """Jobs without an end in the log; they run when the service starts."""


class Replay:
    """One replay of one service."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._parts = service.replayable
        self._source = f"/headrace/{service.name}"
        self._history = History()
        self._report = Report(service.name)
        self._seen: set[str] = set()
        self._batch: list[Event[Any]] = []
        self._stream: Stream | None = None

    async def run(self, log: Log) -> Report:
        """Read the log twice: what there is of the service's own, then all of it in order."""
        service = self._service
        if not await service.database.is_empty():
            raise ReplayRefused(
                "the database is not empty: name an empty one, or move the old one away"
            )
        async for record in log():
            self._note(record)
        self._parts.units.history = self._history
        try:
            async for record in log():
                await self._take(record)
            await self._flush()
            for hook in self._parts.at_the_end:
                await hook()
        finally:
            self._parts.units.history = None
        self._report.unpublished = len(set(self._history.missing))
        self._report.open_jobs = await self._open_jobs()
        return self._report

    def _note(self, record: Record) -> None:
        if record.topic == topics.dlq(self._service.name):
            origin = {k: v.decode(errors="replace") for k, v in record.headers}
            place = [
                origin.get(f"{HEADER_PREFIX}{k}", "") for k in ("topic", "partition", "offset")
            ]
            if place[1].isdigit() and place[2].isdigit():
                self._history.dead.add((place[0], int(place[1]), int(place[2])))
            return
        event = _event(record, self._source)
        if event:
            # The first one counts: a killed relay may have sent it twice.
            self._history.times.setdefault(event.id, event.time)

    async def _take(self, record: Record) -> None:
        if record.topic == topics.dlq(self._service.name):
            return
        if (record.topic, record.partition, record.offset) in self._history.dead:
            self._report.skipped_dead += 1
            return
        event = _event(record)
        if event is None:
            return
        stream = self._parts.stream_of(event.type)
        if stream is None or stream is not self._stream:
            await self._flush()
        try:
            if event.source == self._source and event.id not in self._seen:
                self._seen.add(event.id)
                await self._apply_own(event)
            if event.type in self._parts.control_types:
                await self._parts.control.replay(event)
                self._report.events += 1
        except Exception as error:  # noqa: BLE001 - as when it was handled first, the log goes on
            self._failed(event, error)
        if stream is not None:
            self._stream = stream
            self._batch.append(event)
            if len(self._batch) >= stream.replay_records:
                await self._flush()

    async def _apply_own(self, event: Event[Any]) -> None:
        handlers = self._parts.own.get(event.type, ())
        if not handlers:
            return
        async with self._parts.units.begin(None, event.workload, event.time) as uow:
            for handler in handlers:
                await handler(event, uow)

    async def _flush(self) -> None:
        batch, stream = self._batch, self._stream
        self._batch, self._stream = [], None
        if not batch or stream is None:
            return
        try:
            await stream.handler(batch)
            self._report.events += len(batch)
        except Exception as error:  # noqa: BLE001 - see above
            self._failed(batch[-1], error)

    async def _open_jobs(self) -> int:
        query = select(func.count()).select_from(JobRow).where(JobRow.finished_at.is_(None))
        async with self._service.database.reading() as session:
            return await session.scalar(query) or 0

    def _failed(self, event: Event[Any], error: Exception) -> None:
        self._report.failed.append(event.id)
        _LOG.warning("not replayed", type=event.type, event_id=event.id, error=type(error).__name__)


def _event(record: Record, source: str | None = None) -> Event[Any] | None:
    """Return the event in a record (of one source only); None for what was no event then either."""
    try:
        raw = parse(dict(record.headers), record.value)
        if source and raw.attributes["source"] != source:
            return None
        model = EVENT_TYPES.get(raw.type)
        return raw.load(model, record.topic) if model else None
    except InvalidEvent:
        return None


def topics_of(service: "Service") -> list[str]:
    """The topics that a replay of the service reads: what it takes in and what it has emitted."""
    names = {EVENT_TYPES[name].TOPIC for name in service.replayable.types}
    # The hot path has no outbox: what went out there is not looked for.
    emitted = {
        t.name for t in topics.CATALOGUE if service.name in t.producers and t.key != "request_id"
    }
    return sorted({*names, *emitted, topics.dlq(service.name)})


async def replay(service: "Service", bootstrap: str) -> Report:
    """Replay a service from Kafka into the database of its settings."""
    await service.database.create()
    try:
        ends = await end_offsets(bootstrap, topics_of(service))
        return await Replay(service).run(lambda: read_log(bootstrap, ends))
    finally:
        await service.database.close()
