"""Records that nobody should send, on a real Kafka, the same cases for both loops.

The control loop is FastStream's, the stream is ours: whatever comes, both handle the good records
around it, set aside what nobody can handle, and stay ready.
"""

import asyncio
import gzip
import hashlib
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.record.util import calc_crc32c

from headrace_events import Event, new_id, topics
from headrace_events.data import RecordsRejected
from headrace_events.inference import FeedbackGiven
from headrace_kit import Service
from headrace_kit.metrics import RECORDS_HELD
from headrace_stack.testing import running_kafka

pytestmark = pytest.mark.integration
TOPIC = topics.FEEDBACK

_CRC_AT, _CHECKED_FROM, _HEADER_BYTES = 17, 21, 61


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kafka")


@pytest.fixture(scope="module")
def kafka(home: Path) -> Iterator[str]:
    """A Kafka of this module's own: its files are damaged here."""
    with running_kafka(home) as bootstrap:
        yield bootstrap


@pytest.fixture(params=["control", "stream"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Lane:
    """A service that handles feedback of one workload by one of the two loops."""

    def __init__(self, loop: str, settings: Any) -> None:
        self.workload = new_id()
        self.handled: list[str] = []
        self.events: list[Event[Any]] = []
        self.fail: Callable[[Event[Any]], None] = lambda _event: None
        # Two names: a group whose member comes back with other topics would confuse the two loops.
        self.service = Service({"control": "ingest", "stream": "monitor"}[loop], settings)
        if loop == "control":
            self.service.on(FeedbackGiven, self._on)
            self.service.on(RecordsRejected, self._on)
        else:
            self.service.stream("s", [FeedbackGiven, RecordsRejected], self._on_batch)

    async def _on(self, event: Event[Any], _uow: object) -> None:
        self._take(event)

    async def _on_batch(self, events: list[Event[Any]]) -> None:
        for event in events:
            self._take(event)

    def _take(self, event: Event[Any]) -> None:
        if event.workload == self.workload:
            self.fail(event)
            self.handled.append(event.subject)
            self.events.append(event)

    def event(self, name: str) -> Event[Any]:
        data = FeedbackGiven(request_id=name, rating=1)
        return Event.new(data, source="t", workload=self.workload, subject=name)


class Kafka:
    """What a test does to the log of one partition, and what came of it."""

    def __init__(self, bootstrap: str, home: Path, producer: AIOKafkaProducer) -> None:
        self.bootstrap = bootstrap
        self._home = home
        self.producer = producer

    async def send(
        self,
        event: Event[Any],
        headers: Any = (),
        *,
        partition: int = 0,
        value: bytes | None = None,
    ) -> int:
        """Send an event to the lane's topic, more headers after its own; return its offset."""
        own = [(k, v.encode()) for k, v in event.headers().items()]
        body = event.body() if value is None else value
        sent = await self.producer.send_and_wait(
            TOPIC, body, b"k", partition=partition, headers=[*own, *headers]
        )
        return int(sent.offset)

    def damage(self, marker: bytes, change: Callable[[bytearray], None]) -> None:
        """Change the one batch on the disk that holds `marker`, as a bad disk would."""
        for path in self._home.rglob("*.log"):
            if path.parent.name.startswith(f"{TOPIC}-"):
                content = bytearray(path.read_bytes())
                for start, end in _batches(content):
                    batch = content[start:end]
                    if marker in batch or marker in _unpacked(batch):
                        change(batch)
                        with path.open("r+b") as file:
                            file.seek(start)
                            file.write(batch)
                        return
        raise AssertionError("no batch holds the marker")

    async def letters(self, since: dict[TopicPartition, int], offset: int) -> list[Any]:
        """The dead letters after `since` of what lay at `offset`; waits until there is one."""
        return await _read(
            self.bootstrap, since, lambda found: origin(found)["offset"] == str(offset)
        )

    async def ends(self, lane: Lane) -> dict[TopicPartition, int]:
        """Where the lane's dead letters end now."""
        return await _ends(self.bootstrap, topics.dlq(lane.service.name))


def _batches(content: bytearray) -> Iterator[tuple[int, int]]:
    at = 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">i", content, at + 8)
        if length <= 0:
            return
        yield at, at + 12 + length
        at += 12 + length


def _unpacked(batch: bytearray) -> bytes:
    (attributes,) = struct.unpack_from(">h", batch, _CHECKED_FROM)
    try:
        return gzip.decompress(bytes(batch[_HEADER_BYTES:])) if attributes & 7 == 1 else b""
    except (OSError, EOFError, zlib.error):
        return b""  # damaged by another test


def flip_a_bit(batch: bytearray) -> None:
    """The checksum is wrong."""
    batch[-3] ^= 0x10


def break_the_codec(batch: bytearray) -> None:
    """The checksum is right and the compressed data are not."""
    for at in range(_HEADER_BYTES + 12, len(batch)):
        batch[at] ^= 0x5A
    struct.pack_into(">I", batch, _CRC_AT, calc_crc32c(bytes(batch[_CHECKED_FROM:])))


def break_the_record(batch: bytearray) -> None:
    """The checksum is right and the record in it has an impossible length."""
    batch[_HEADER_BYTES] ^= 0x02
    struct.pack_into(">I", batch, _CRC_AT, calc_crc32c(bytes(batch[_CHECKED_FROM:])))


async def _ends(bootstrap: str, topic: str) -> dict[TopicPartition, int]:
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await reader.start()
    try:
        partitions = [TopicPartition(topic, p) for p in range(topics.BY_NAME[topic].partitions)]
        reader.assign(partitions)
        return dict(await reader.end_offsets(partitions))
    finally:
        await asyncio.sleep(0.05)
        await reader.stop()


async def _read(
    bootstrap: str, since: dict[TopicPartition, int], wanted: Callable[[Any], bool]
) -> list[Any]:
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await reader.start()
    found: list[Any] = []
    try:
        reader.assign(list(since))
        for partition, offset in since.items():
            reader.seek(partition, offset)
        async with asyncio.timeout(30):
            while not found:
                batches = await reader.getmany(timeout_ms=300)
                found.extend(r for batch in batches.values() for r in batch if wanted(r))
    finally:
        await reader.stop()
    return found


def origin(letter: Any) -> dict[str, str]:
    """The headers that say where a dead letter came from."""
    return {
        k.removeprefix("headrace_dlq_"): v.decode()
        for k, v in letter.headers
        if k.startswith("headrace_dlq_")
    }


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.fixture
def lane(loop: str, settings_for: Any) -> Lane:
    return Lane(loop, settings_for())


@pytest.fixture
async def log(kafka: str, home: Path) -> AsyncIterator[Kafka]:
    async with AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True) as producer:
        yield Kafka(kafka, home, producer)


@asynccontextmanager
async def producer_of(kafka: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=kafka, **options) as producer:
        yield producer


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_is_read(lane, log, kafka, codec) -> None:
    async with producer_of(kafka, compression_type=codec) as producer:
        await Kafka(kafka, Path(), producer).send(lane.event("packed"))
    async with lane.service.running():
        await until(lambda: lane.handled == ["packed"])


@pytest.mark.parametrize("damage", [flip_a_bit, break_the_codec, break_the_record])
async def test_a_batch_that_cannot_be_read_is_set_aside_by_its_offsets(
    lane, log, kafka, damage
) -> None:
    since, lost = await log.ends(lane), f"lost-{lane.workload}"
    await log.send(lane.event("before"))
    async with producer_of(kafka, compression_type="gzip", linger_ms=200) as producer:
        packed = damage is break_the_codec
        sender = Kafka(kafka, Path(), producer if packed else log.producer)
        count = 3 if packed else 1
        offsets = await asyncio.gather(*(sender.send(lane.event(lost)) for _ in range(count)))
    await log.send(lane.event("after"))
    await log.send(lane.event("elsewhere"), partition=1)
    log.damage(lost.encode(), damage)
    async with lane.service.running():
        await until(lambda: sorted(lane.handled) == ["after", "before", "elsewhere"])
        (letter,) = await log.letters(since, min(offsets))
        assert all(lane.service.readiness().values())
    found = origin(letter)
    assert (found["topic"], found["partition"]) == (TOPIC, "0")
    assert int(found["offset"]) == min(offsets)
    assert int(found.get("last_offset", found["offset"])) == max(offsets)
    expected = "zlib.error" if packed else "CorruptRecordException"
    assert found["error"] == expected
    assert letter.value is None and found["omitted"] == "value"


async def test_what_a_transaction_took_back_never_happened(lane, log, kafka) -> None:
    async with producer_of(kafka, transactional_id=new_id()) as producer:
        sender = Kafka(kafka, Path(), producer)
        await producer.begin_transaction()
        await sender.send(lane.event("aborted"))
        await producer.abort_transaction()
        async with producer.transaction():
            await sender.send(lane.event("committed"))
    await log.send(lane.event("plain"))
    async with lane.service.running():
        await until(lambda: "plain" in lane.handled)
    assert lane.handled == ["committed", "plain"]


HOSTILE_HEADERS = [
    [("app", b"\xff\xfe")],
    [("app", None)],
    [("tracestate", b"\x80\x81")],
    [("tracestate", None)],
    [("tracestate", b"a=" + b"x" * 20_000)],
    [("traceparent", b"\xff")],
    [("traceparent", b"nonsense")],
    [("ce_causationid", None)],
    [("\N{SNOWMAN}" * 50, b"\x00")],
]


@pytest.mark.parametrize("headers", HOSTILE_HEADERS, ids=range(len(HOSTILE_HEADERS)))
async def test_headers_of_others_spoil_no_event(lane, log, headers) -> None:
    await log.send(lane.event("good"), headers)
    async with lane.service.running():
        await until(lambda: lane.handled == ["good"])
    (event,) = lane.events
    assert event.causationid is None
    assert event.tracestate is None


async def test_a_type_is_taken_from_its_own_topics_only(lane, log) -> None:
    since = await log.ends(lane)
    stray: Event[Any] = Event.new(
        RecordsRejected(source="s", reason="r"), source="t", workload=lane.workload
    )
    offset = await log.send(stray)
    await log.send(lane.event("good"))
    async with lane.service.running():
        await until(lambda: lane.handled)
        (letter,) = await log.letters(since, offset)
    assert lane.handled == ["good"]
    assert origin(letter)["error"] == "WrongTopic"
    assert letter.value == stray.body()


MIB = 1024 * 1024


async def test_what_is_too_large_to_be_set_aside_whole_blocks_nothing(lane, log, kafka) -> None:
    since = await log.ends(lane)
    value = b"no json " * (3 * MIB // 8)
    options = {"compression_type": "gzip", "max_request_size": 64 * MIB}
    async with producer_of(kafka, **options) as producer:
        sender = Kafka(kafka, Path(), producer)
        by_value = await sender.send(lane.event("large"), [("app", b"1")], value=value)
        by_header = await sender.send(lane.event("wide"), [("app", b"x" * 3 * MIB)], value=b"{")
    await log.send(lane.event("good"))
    async with lane.service.running():
        await until(lambda: lane.handled == ["good"])
        (large,) = await log.letters(since, by_value)
        (wide,) = await log.letters(since, by_header)
        assert all(lane.service.readiness().values())
    assert large.value is None and ("app", b"1") in large.headers and large.key == b"k"
    found = origin(large)
    assert (found["omitted"], found["value_bytes"]) == ("value", str(len(value)))
    assert found["value_sha256"] == hashlib.sha256(value).hexdigest()
    assert found["error"] == "InvalidEvent"
    assert origin(wide)["omitted"] == "value,headers,key"
    assert dict(wide.headers)["ce_subject"] == b"wide"


@pytest.mark.parametrize("headers", [[], [("app", b"1")]])
async def test_a_record_with_neither_key_nor_value_blocks_nothing(lane, log, headers) -> None:
    since, partition = await log.ends(lane), TopicPartition(TOPIC, 0)
    await log.send(lane.event("before"))
    # Other clients send such a record; aiokafka's `send` does not.
    sent = await log.producer._message_accumulator.add_message(
        partition, None, None, 10, timestamp_ms=None, headers=headers
    )
    offset = (await sent).offset
    await log.send(lane.event("after"))
    async with lane.service.running():
        (letter,) = await log.letters(since, offset)
        await until(lambda: lane.handled == ["before", "after"])
        assert all(lane.service.readiness().values())
    assert letter.value is None and dict(headers).items() <= dict(letter.headers).items()
    assert origin(letter)["error"] == "InvalidEvent" and "omitted" not in origin(letter)


async def test_a_record_that_cannot_be_set_aside_is_held_and_named(lane, log, monkeypatch) -> None:
    since = await log.ends(lane)
    letters = lane.service._dead_letters
    send = letters._send

    async def away(*_: object) -> object:
        raise ConnectionError

    monkeypatch.setattr(letters, "_send", away)
    offset = await log.send(lane.event("bad"), value=b"{")
    await log.send(lane.event("good"))
    async with lane.service.running():
        name = {"ingest": "headrace.ingest", "monitor": "headrace.monitor.s"}[lane.service.name]
        readiness = lane.service.readiness
        await until(lambda: not readiness()[f"lane {name}"])
        held = RECORDS_HELD.labels(name, "ConnectionError")._value.get()
        assert 2 <= held <= 6  # not a hot loop
        monkeypatch.setattr(letters, "_send", send)
        await until(lambda: readiness()[f"lane {name}"])
        assert len(await log.letters(since, offset)) == 1
        await until(lambda: lane.handled == ["good"])


async def test_a_held_record_does_not_hold_up_the_stop(lane, log, monkeypatch) -> None:
    async def away(*_: object) -> object:
        raise ConnectionError

    monkeypatch.setattr(lane.service._dead_letters, "_send", away)
    await log.send(lane.event("bad"), value=b"{")
    async with lane.service.running():
        await until(lambda: not all(lane.service.readiness().values()))
        began = time.monotonic()
    assert time.monotonic() - began < 8
    # And is done by the next start, for the tests after this one too.
    monkeypatch.undo()
    again = Lane("control" if lane.service.name == "ingest" else "stream", lane.service.settings)
    again.workload = lane.workload
    await log.send(again.event("good"))
    async with again.service.running():
        await until(lambda: again.handled == ["good"])


async def test_a_halt_is_told_without_the_database(loop, log, settings_for, monkeypatch) -> None:
    settings = settings_for()
    settings.kafka.dead_letter_limit = 1
    lane = Lane(loop, settings)
    alerts = await _ends(log.bootstrap, topics.ALERTS)
    async with lane.service.running():

        def away() -> Any:
            raise ConnectionRefusedError

        monkeypatch.setattr(lane.service.database, "transaction", away)
        for _ in range(3):
            await log.send(lane.event("bad"), value=b"{")
        await until(lambda: not lane.service.readiness()["consuming"])
        (alert,) = await _read(log.bootstrap, alerts, lambda found: b"dead-letter-l" in found.value)
        assert dict(alert.headers)["ce_type"] == b"alert.raised.v1"
        monkeypatch.undo()
    # Tests after this one go on behind what was not done.
    again = Lane(loop, settings_for())
    await log.send(again.event("good"))
    async with again.service.running():
        await until(lambda: again.handled == ["good"])
