"""Follow the events of a stack. Payloads may hold users' text, so only attributes are shown."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from headrace_events import InvalidEvent, RawEvent, parse
from headrace_events.topics import CATALOGUE
from headrace_kafka import Consumer
from headrace_stack.errors import StackError

POLL_MS = 300


@dataclass(frozen=True)
class Choice:
    """Which events are wanted; a type matches with or without its version."""

    workload: str | None = None
    type: str | None = None

    def takes(self, event: RawEvent) -> bool:
        """Whether the event is wanted."""
        if self.workload and event.attributes.get("workload") != self.workload:
            return False
        return not self.type or event.type == self.type or event.type.startswith(f"{self.type}.")


@dataclass(frozen=True)
class Seen:
    """One event and where it lay."""

    topic: str
    partition: int
    offset: int
    event: RawEvent

    def describe(self, with_data: bool) -> dict[str, Any]:
        """The event's attributes and place, and its payload only where asked for."""
        place = {"topic": self.topic, "partition": self.partition, "offset": self.offset}
        described = {"type": self.event.type, **self.event.attributes, **place}
        if with_data:
            payload = self.event.payload
            described["data"] = json.loads(payload) if isinstance(payload, bytes) else payload
        return described


async def tail(
    bootstrap: str, choice: Choice, *, from_beginning: bool, follow: bool
) -> AsyncIterator[Seen]:
    """Events as they come; with `follow` off, those that are there now."""
    consumer = Consumer(
        *(topic.name for topic in CATALOGUE),
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest" if from_beginning or not follow else "latest",
        enable_auto_commit=False,
    )
    try:
        await consumer.start()
        ends = {} if follow else await consumer.end_offsets(consumer.assignment())
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
    except (KafkaError, OSError) as error:
        raise StackError(
            f"Kafka at {bootstrap} does not answer ({type(error).__name__}). "
            "`headrace status` shows whether it runs."
        ) from error
    finally:
        await consumer.stop()


def _read(record: "ConsumerRecord[bytes, bytes]") -> Seen | None:
    try:
        event = parse(dict(record.headers), record.value)
    except InvalidEvent:
        return None  # not an event of ours: the consumer's service dead-letters it
    return Seen(record.topic, record.partition, record.offset, event)
