"""Everything that the topics hold, read from their beginning to their end."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from headrace_events import EventData, InvalidEvent, RawEvent, parse
from headrace_events.topics import BY_NAME, dlq
from headrace_kafka import Consumer

_DLQ_PREFIX = dlq("")


@dataclass(frozen=True, slots=True)
class Logged:
    """One event where it lies."""

    topic: str
    raw: RawEvent

    @property
    def id(self) -> str:
        """The event's id."""
        return str(self.raw.attributes["id"])

    @property
    def cause(self) -> str:
        """The id of the event that caused it, or nothing."""
        return str(self.raw.attributes.get("causationid", ""))

    @property
    def subject(self) -> str:
        """The entity; of inference events the request id."""
        return str(self.raw.attributes["subject"])

    @property
    def workload(self) -> str:
        """The workload."""
        return str(self.raw.attributes["workload"])

    def data(self, model: type[EventData]) -> Any:
        """The payload."""
        return self.raw.load(model).data


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was put aside, with where it came from."""

    service: str
    topic: str
    partition: int
    offset: int
    error: str
    attempts: int
    size: int

    @property
    def origin(self) -> str:
        """The one place that it came from."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass
class EventLog:
    """All events by type, all dead letters, and what is no event."""

    events: dict[str, list[Logged]] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    no_events: int = 0
    unlabelled_dead_letters: int = 0
    """Dead letters without their origin headers."""

    def of(self, *models: type[EventData]) -> Iterator[Logged]:
        """The events of these types, repeats included."""
        for model in models:
            yield from self.events.get(model.TYPE, ())

    def ids(self, models: Iterable[type[EventData]]) -> list[str]:
        """The ids of the events of these types, each once."""
        return list(dict.fromkeys(event.id for event in self.of(*models)))

    def repeats(self) -> int:
        """Events that lie in their topic again under the same id: what at-least-once costs."""
        return sum(len(all_) - len({e.id for e in all_}) for all_ in self.events.values())

    def take(self, record: "ConsumerRecord[Any, Any]") -> None:
        """Put one record where it belongs."""
        if record.topic.startswith(_DLQ_PREFIX):
            self._take_dead_letter(record)
            return
        try:
            raw = parse(dict(record.headers), record.value)
        except InvalidEvent:
            self.no_events += 1
            return
        self.events.setdefault(raw.type, []).append(Logged(record.topic, raw))

    def _take_dead_letter(self, record: "ConsumerRecord[Any, Any]") -> None:
        headers = {k: v for k, v in record.headers if k.startswith("headrace_dlq_")}
        try:
            letter = DeadLetter(
                service=record.topic.removeprefix(_DLQ_PREFIX),
                topic=headers["headrace_dlq_topic"].decode(),
                partition=int(headers["headrace_dlq_partition"]),
                offset=int(headers["headrace_dlq_offset"]),
                error=headers["headrace_dlq_error"].decode(),
                attempts=int(headers["headrace_dlq_attempts"]),
                size=len(record.value or b""),
            )
        except (KeyError, ValueError):
            self.unlabelled_dead_letters += 1
            return
        self.dead_letters.append(letter)


async def read_log(bootstrap: str, names: Sequence[str] = tuple(BY_NAME)) -> EventLog:
    """Read topics, else every one of the catalogue, to where each ends now."""
    log = EventLog()
    partitions = [
        TopicPartition(name, number) for name in names for number in range(BY_NAME[name].partitions)
    ]
    consumer = Consumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        left = {partition for partition, end in ends.items() if end > 0}
        while left:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for record in batch:
                    log.take(record)
            left = {p for p in left if await consumer.position(p) < ends[p]}
    finally:
        await asyncio.sleep(0.05)  # aiokafka's stop() trips over a start() of the same moment
        await consumer.stop()
    return log
