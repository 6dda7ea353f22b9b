"""Batches that cannot be read, by aiokafka's own parser; on a real Kafka see libs/kit's tests."""

import re
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from headrace_kafka import UnreadableRecord, record_bytes
from headrace_kafka.unreadable import FetchedRecords

PARTITION = TopicPartition("t", 0)
ROOT = Path(__file__).parents[3]


def batch(base: int, *values: bytes, codec: int = 0) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 20)
    for n, value in enumerate(values):
        builder.append(n, 1, b"k", value, [])
    built = bytearray(builder.build())
    struct.pack_into(">q", built, 0, base)
    return built


def read(content: bytes, *, position: int = 0, highwater: int = 100) -> list[Any]:
    """What one fetch gives, and at the end the position after it."""
    state = SimpleNamespace(paused=False, position=position, highwater=highwater)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _partition: state)
    records = PartitionRecords(
        PARTITION, MemoryRecords(bytes(content)), [], position, None, None, True, READ_COMMITTED
    )
    results = FetchedRecords()
    results[PARTITION] = FetchResult(
        PARTITION, assignment=assignment, partition_records=records, backoff=0
    )
    found = results[PARTITION].getall()
    return [*(_described(record) for record in found), state.position]


def _described(record: Any) -> Any:
    if isinstance(record, UnreadableRecord):
        return (record.first_offset, record.offset, record.error)
    return (record.offset, record.value)


def test_what_can_be_read_is_as_it_was() -> None:
    content = batch(0, b"a", b"b") + batch(2, b"c", codec=1)
    assert read(content) == [(0, b"a"), (1, b"b"), (2, b"c"), 3]


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_a_wrong_checksum_is_one_record_for_its_batch(codec: int) -> None:
    bad = batch(1, b"x" * 50, b"y" * 50, codec=codec)
    bad[-1] ^= 1
    content = batch(0, b"a") + bad + batch(3, b"d")
    assert read(content) == [(0, b"a"), (1, 2, "CorruptRecordException"), (3, b"d"), 4]


def test_two_in_a_row_and_at_the_end() -> None:
    one, two = batch(1, b"x"), batch(2, b"y")
    one[-1] ^= 1
    two[-1] ^= 1
    corrupt = "CorruptRecordException"
    assert read(batch(0, b"a") + one + two) == [(0, b"a"), (1, 1, corrupt), (2, 2, corrupt), 3]


@pytest.mark.parametrize("claimed", [-7, 2**30])
def test_a_broken_header_moves_the_position_by_no_more_than_there_is(claimed: int) -> None:
    bad = batch(1, b"x")
    struct.pack_into(">i", bad, 23, claimed)  # last offset delta
    after = batch(2, b"b")
    corrupt = "CorruptRecordException"
    assert read(bad + after, position=1) == [(1, 1, corrupt), (2, b"b"), 3]
    (gone, position) = read(bad, position=1, highwater=5)
    assert gone[0] == 1 and position == gone[1] + 1 and 2 <= position <= 5


def test_what_was_read_before_is_not_read_again() -> None:
    bad = batch(0, b"a", b"b", b"c")
    bad[-1] ^= 1
    assert read(bad, position=2) == [(2, 2, "CorruptRecordException"), 3]


def test_a_size_is_never_less_than_what_is_sent() -> None:
    for headers in ([], [("a", b"1")] * 300, [("n", None)], [("é" * 40, b"x" * 200)]):
        builder = DefaultRecordBatchBuilder(2, 0, False, 7, 1, 1, 1 << 20)
        builder.append(0, 2**40, b"k" * 99, b"v" * 5_000, headers)
        sent = len(builder.build())
        assert (
            sent
            <= record_bytes(b"k" * 99, b"v" * 5_000, headers)
            <= sent + 100 + 120 * len(headers)
        )


def test_nobody_makes_another_consumer() -> None:
    """aiokafka's own reads what was taken back and stops at what cannot be read."""
    made = re.compile(r"AIOKafkaConsumer\(")
    sources = [
        path
        for folder in ("libs", "services", "bench")
        for path in (ROOT / folder).glob("**/headrace_*/**/*.py")
    ]
    assert len(sources) > 100
    found = {
        path.relative_to(ROOT).as_posix()
        for path in sources
        if made.search(path.read_text(encoding="utf-8"))
    }
    # A product's client of its own, which the bench stands for, says so by itself.
    assert found == {"bench/headrace_bench/event_path/headrace_side.py"}
