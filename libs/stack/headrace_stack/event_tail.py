"""Follow the events of a stack. Payloads may hold users' text: what is shown is figures."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from headrace_events import EventData, InvalidEvent, RawEvent, parse
from headrace_events.catalogue import load
from headrace_events.sentences import summary
from headrace_events.topics import CATALOGUE
from headrace_kafka import Consumer, give_up
from headrace_stack.errors import StackError

POLL_MS = 300
LOOK_SECONDS = 1.0
SILENT_SECONDS = 10.0
"""So long Kafka may be away: the supervisor starts a dead one again in less."""
_CONNECT_SECONDS = 2.0
_JOURNAL = "job"


@dataclass(frozen=True)
class Choice:
    """Which events are wanted; a type matches with or without its version."""

    workload: str | None = None
    type: str | None = None
    journal: bool = True
    """Also `job.*`: what services write down for `headrace replay`."""

    def takes(self, event: RawEvent) -> bool:
        """Whether the event is wanted."""
        if self.workload and event.attributes.get("workload") != self.workload:
            return False
        if self.type:
            return event.type == self.type or event.type.startswith(f"{self.type}.")
        return self.journal or not event.type.startswith(f"{_JOURNAL}.")


@dataclass(frozen=True)
class Seen:
    """One event and where it lay."""

    topic: str
    partition: int
    offset: int
    event: RawEvent

    @property
    def data(self) -> EventData | None:
        """The payload; None where this release cannot read it."""
        try:
            event = load(self.event)
        except InvalidEvent:
            return None
        return event.data if event else None

    @property
    def sentence(self) -> str:
        """What the console says of it."""
        data = self.data
        return summary(data) if data else "another release's: its payload cannot be read here"

    def describe(self, with_data: bool) -> dict[str, Any]:
        """The event's attributes, sentence and place, and its payload only where asked for."""
        place = {"topic": self.topic, "partition": self.partition, "offset": self.offset}
        said = {"sentence": self.sentence}
        described = {"type": self.event.type, **self.event.attributes, **said, **place}
        if with_data:
            payload = self.event.payload
            described["data"] = json.loads(payload) if isinstance(payload, bytes) else payload
        return described


async def tail(
    bootstrap: str,
    choice: Choice,
    *,
    from_beginning: bool,
    follow: bool,
    since: datetime | None = None,
    gone: Callable[[], str | None] = lambda: None,
) -> AsyncIterator[Seen]:
    """Events as they come; with `follow` off, those that are there now.

    `gone` says why the stack is no more. Raises StackError then, and when Kafka stays away.
    """
    consumer = Consumer(
        *(topic.name for topic in CATALOGUE),
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest" if from_beginning or not follow else "latest",
        enable_auto_commit=False,
    )
    away = _Away(bootstrap, gone)
    try:
        await consumer.start()
        ends = {} if follow else await consumer.end_offsets(consumer.assignment())
        if since:
            await _seek(consumer, since)
        while True:
            batches = await consumer.getmany(timeout_ms=POLL_MS)
            records = [record for batch in batches.values() for record in batch]
            for record in sorted(records, key=lambda record: record.timestamp):
                seen = _read(record)
                if seen and choice.takes(seen.event):
                    yield seen
            if not follow:
                left = [p for p, end in ends.items() if await consumer.position(p) < end]
                if not left:
                    return
            if not records:
                await away.look()
    except (KafkaError, OSError) as error:
        raise StackError(
            f"Kafka at {bootstrap} does not answer ({type(error).__name__}). "
            "`headrace status` shows whether it runs."
        ) from error
    finally:
        await give_up(consumer)


class _Away:
    """Sees that a stack is gone: aiokafka tries for ever and never says so."""

    def __init__(self, bootstrap: str, gone: Callable[[], str | None]) -> None:
        self._bootstrap = bootstrap
        self._gone = gone
        self._looked = self._answered = time.monotonic()

    async def look(self) -> None:
        """Raise StackError where the stack is gone."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        if reason := self._gone():
            raise StackError(reason)
        if await _reachable(self._bootstrap):
            self._answered = time.monotonic()
        self._looked = time.monotonic()
        if self._looked - self._answered > SILENT_SECONDS:
            raise StackError(
                f"Kafka at {self._bootstrap} has not answered for {SILENT_SECONDS:.0f} s: no more "
                "events come. `headrace status` shows whether it runs."
            )


async def _reachable(bootstrap: str) -> bool:
    """Whether any of the brokers takes a connection."""
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            return True
    return False


async def _seek(consumer: Consumer, since: datetime) -> None:
    moment = int(since.timestamp() * 1000)
    partitions = consumer.assignment()
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, moment))
    later = [partition for partition in partitions if not found.get(partition)]
    for partition, place in found.items():
        if place:
            consumer.seek(partition, place.offset)
    if later:
        await consumer.seek_to_end(*later)


def _read(record: "ConsumerRecord[bytes, bytes]") -> Seen | None:
    try:
        event = parse(dict(record.headers), record.value)
    except InvalidEvent:
        return None  # not an event of ours: the consumer's service dead-letters it
    return Seen(record.topic, record.partition, record.offset, event)
