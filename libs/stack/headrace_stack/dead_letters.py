"""Dead letters as an operator sees them: read, chosen, sent back, and the record of who did it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from headrace_events import Event, InvalidEvent, new_id, parse
from headrace_events.catalogue import EVENT_TYPES
from headrace_events.monitoring import DeadLetterReplayed
from headrace_events.topics import ALERTS, BY_NAME, dlq
from headrace_kafka import Consumer, UnreadableRecord
from headrace_stack.errors import StackError
from headrace_stack.services import SERVICES

ORIGIN = "headrace_dlq_"
REPLAY_HEADER = "headrace_replay_id"
_POLL_MS = 300
_RECORD_MS = 10_000


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter: where it lies, where it came from, why, and the record itself."""

    service: str
    partition: int
    offset: int
    topic: str
    origin: str
    """`topic/partition/offset` that it was consumed from."""
    error: str
    attempts: int
    at: datetime
    event_id: str | None
    event_type: str | None
    workload: str | None
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: tuple[tuple[str, bytes | None], ...] = field(repr=False)
    replays: tuple[DeadLetterReplayed, ...] = ()
    omitted: str | None = None
    """What did not fit into the letter: `value`, or `value,headers,key`; None: it is whole."""
    value_bytes: int = 0
    """Size of the record's value, also where it was omitted."""
    value_sha256: str | None = None
    last_offset: int | None = None
    """The last of its origin's offsets, where the letter stands for several records."""

    @property
    def name(self) -> str:
        """What a person types to mean this one."""
        return f"{self.service}/{self.partition}/{self.offset}"

    def describe(self) -> dict[str, Any]:
        """Everything but the payload, as JSON."""
        return {
            "name": self.name,
            "service": self.service,
            "origin": self.origin,
            "last_offset": self.last_offset,
            "error": self.error,
            "attempts": self.attempts,
            "time": self.at.isoformat(),
            "event_id": self.event_id,
            "event_type": self.event_type,
            "workload": self.workload,
            "bytes": self.value_bytes,
            "omitted": self.omitted,
            "replays": [r.model_dump(mode="json") for r in self.replays],
        }

    def problem(self) -> str | None:
        """Say what is wrong with the record for this release, naming fields and not values."""
        if self.omitted:
            return f"not seen here: the letter was too large and is without its {self.omitted}"
        try:
            raw = parse(dict(self.headers), self.value)
            model = EVENT_TYPES.get(raw.type)
            if model is None:
                return f"this release knows no event type {raw.type}"
            raw.load(model)
        except InvalidEvent as error:
            return str(error)
        return None


@dataclass(frozen=True)
class Choice:
    """Which dead letters are meant; what is not given does not matter."""

    service: str | None = None
    topic: str | None = None
    error: str | None = None
    type: str | None = None
    workload: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[str, ...] = ()
    """Names (`ingest/0/17`) or event ids."""

    def takes(self, letter: DeadLetter) -> bool:
        """Say whether a dead letter is meant."""
        wanted = (
            (self.topic, letter.topic),
            (self.error, letter.error),
            (self.workload, letter.workload),
        )
        if any(want is not None and want != found for want, found in wanted):
            return False
        if self.type and not f"{letter.event_type or ''}.".startswith(f"{self.type}."):
            return False
        if (self.since and letter.at < self.since) or (self.until and letter.at >= self.until):
            return False
        return not self.ids or letter.name in self.ids or letter.event_id in self.ids

    def services(self) -> list[str]:
        """The services whose dead letters are looked through."""
        known = [service.name for service in SERVICES]
        if self.service is None:
            return known
        if self.service not in known:
            raise StackError(f"No service is called {self.service}. Services: {', '.join(known)}.")
        return [self.service]


async def find(bootstrap: str, choice: Choice) -> list[DeadLetter]:
    """Return the chosen dead letters, oldest first, with what was replayed of them."""
    by_topic = {dlq(name): name for name in choice.services()}
    letters: list[DeadLetter] = []
    replays: dict[tuple[str, int, int], list[DeadLetterReplayed]] = {}
    async for record in _all_of(bootstrap, [*by_topic, ALERTS]):
        if isinstance(record, UnreadableRecord):
            continue
        if record.topic == ALERTS:
            if (done := _replay_of(record)) is not None:
                replays.setdefault((done.service, done.partition, done.offset), []).append(done)
            continue
        letter = _letter(by_topic[record.topic], record)
        if choice.takes(letter):
            letters.append(letter)
    return [
        DeadLetter(
            **{
                **vars(letter),
                "replays": tuple(
                    replays.get((letter.service, letter.partition, letter.offset), ())
                ),
            }
        )
        for letter in sorted(letters, key=lambda letter: letter.at)
    ]


async def replay(
    bootstrap: str, letters: Sequence[DeadLetter], *, operator: str, reason: str
) -> AsyncIterator[tuple[DeadLetter, str | None]]:
    """Send each back to its topic, in order; write the record of it; yield it with its replay id.

    None instead of an id: it was not sent, because its topic keeps only the newest record of a key
    and has a newer one, which compaction would take away for this one.

    First the record, then the note: a kill between them lets it be sent again, which the
    consumers' inboxes drop. The other way round it would never be sent.
    """
    async with _producer(bootstrap) as producer:
        for letter in letters:
            if letter.topic not in BY_NAME:
                raise StackError(
                    f"{letter.name} came from {letter.topic or 'an unknown topic'}, which is no "
                    "topic of this release: nothing more was sent back."
                )
            if await is_superseded(bootstrap, letter):
                yield letter, None
                continue
            whole = await restored(bootstrap, letter) if letter.omitted else letter
            replay_id = new_id()
            headers = [*plain_headers(whole), (REPLAY_HEADER, replay_id.encode())]
            await producer.send_and_wait(letter.topic, whole.value, whole.key, headers=headers)
            note = Event[DeadLetterReplayed].new(
                DeadLetterReplayed(
                    replay_id=replay_id,
                    service=letter.service,
                    partition=letter.partition,
                    offset=letter.offset,
                    topic=letter.topic,
                    error=letter.error,
                    event_id=letter.event_id,
                    event_type=letter.event_type,
                    operator=operator,
                    reason=reason,
                ),
                source="stack",
                workload=letter.workload or "headrace",
                subject=letter.name,
            )
            await producer.send_and_wait(
                note.topic,
                note.body(),
                note.workload.encode(),
                headers=[(name, value.encode()) for name, value in note.headers().items()],
            )
            yield letter, replay_id


async def is_superseded(bootstrap: str, letter: DeadLetter) -> bool:
    """Say whether a compacted topic has a newer record of the letter's key."""
    _, number, offset = letter.origin.rsplit("/", 2)
    if BY_NAME[letter.topic].cleanup != "compact" or not (number.isdigit() and offset.isdigit()):
        return False
    partition = TopicPartition(letter.topic, int(number))
    consumer = Consumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        await consumer.start()
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, int(offset) + 1)
        while await consumer.position(partition) < end:
            for batch in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                if any(record.key == letter.key for record in batch):
                    return True
        return False
    finally:
        await asyncio.sleep(0.05)
        await consumer.stop()


async def restored(bootstrap: str, letter: DeadLetter) -> DeadLetter:
    """Return the letter with what it omits, read again from where the record came from.

    Raises StackError when the record is not there any more, or is another one.
    """
    gone = StackError(
        f"{letter.name} is without its {letter.omitted}, and {letter.origin} cannot be read any "
        "more: its producer has to send it again. Nothing more was sent back."
    )
    _, partition, offset = letter.origin.rsplit("/", 2)
    if letter.value_sha256 is None or not (partition.isdigit() and offset.isdigit()):
        raise gone
    record = await _record_at(bootstrap, TopicPartition(letter.topic, int(partition)), int(offset))
    if record is None or record.value is None:
        raise gone
    if hashlib.sha256(record.value).hexdigest() != letter.value_sha256:
        raise gone
    return replace(letter, key=record.key, value=record.value, headers=tuple(record.headers))


async def _record_at(
    bootstrap: str, partition: TopicPartition, offset: int
) -> "ConsumerRecord[Any, Any] | None":
    consumer = Consumer(bootstrap_servers=bootstrap, auto_offset_reset="none")
    try:
        await consumer.start()
        consumer.assign([partition])
        consumer.seek(partition, offset)
        # Also the error of an offset that is gone comes from here.
        batches = await consumer.getmany(timeout_ms=_RECORD_MS, max_records=1)
    except (KafkaError, OSError):
        return None
    finally:
        await asyncio.sleep(0.05)
        await consumer.stop()
    found = next((record for batch in batches.values() for record in batch), None)
    return found if found and found.offset == offset else None


def plain_headers(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """Return the headers that the record had before it was a dead letter."""
    ours = (ORIGIN, REPLAY_HEADER)
    return [(name, value) for name, value in letter.headers if not name.startswith(ours)]


def _letter(service: str, record: "ConsumerRecord[Any, Any]") -> DeadLetter:
    headers = dict(record.headers)

    def text(name: str) -> str | None:
        value = headers.get(name)
        return value.decode(errors="replace") if value is not None else None

    def origin(name: str) -> str:
        return text(f"{ORIGIN}{name}") or "?"

    return DeadLetter(
        service=service,
        partition=record.partition,
        offset=record.offset,
        topic=origin("topic"),
        origin=f"{origin('topic')}/{origin('partition')}/{origin('offset')}",
        error=origin("error"),
        attempts=_count(text(f"{ORIGIN}attempts")) or 0,
        at=_moment(text(f"{ORIGIN}time"))
        or datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC),
        event_id=text("ce_id"),
        event_type=text("ce_type"),
        workload=text("ce_workload"),
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
        omitted=text(f"{ORIGIN}omitted"),
        value_bytes=_count(text(f"{ORIGIN}value_bytes")) or len(record.value or b""),
        value_sha256=text(f"{ORIGIN}value_sha256"),
        last_offset=_count(text(f"{ORIGIN}last_offset")),
    )


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and text.isascii() else None


def _moment(text: str | None) -> datetime | None:
    """Read a time that we wrote; somebody else may have written the topic too."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except ValueError:
        return None


def _replay_of(record: "ConsumerRecord[Any, Any]") -> DeadLetterReplayed | None:
    try:
        raw = parse(dict(record.headers), record.value)
        return raw.load(DeadLetterReplayed).data if raw.type == DeadLetterReplayed.TYPE else None
    except InvalidEvent:
        return None  # somebody else's poison on the same topic


async def _all_of(
    bootstrap: str, names: Iterable[str]
) -> AsyncIterator["ConsumerRecord[Any, Any]"]:
    consumer = Consumer(
        *names,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    try:
        await consumer.start()
        ends = await consumer.end_offsets(consumer.assignment())
        while [p for p, end in ends.items() if await consumer.position(p) < end]:
            for batch in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                for record in batch:
                    yield record
    except (KafkaError, OSError) as error:
        raise _away(bootstrap, error) from error
    finally:
        # aiokafka's stop() fails when its tasks have not had a turn yet.
        await asyncio.sleep(0.05)
        await consumer.stop()


@asynccontextmanager
async def _producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        # What was read of a compressed record is larger than the topic takes; so it goes back.
        max_request_size=64 * 1024 * 1024,
        compression_type="gzip",
    )
    try:
        await producer.start()
        yield producer
    except (KafkaError, OSError) as error:
        raise _away(bootstrap, error) from error
    finally:
        await producer.stop()


def _away(bootstrap: str, error: Exception) -> StackError:
    return StackError(
        f"Kafka at {bootstrap} does not answer ({type(error).__name__}). "
        "`headrace status` shows whether it runs."
    )
