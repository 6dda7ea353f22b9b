"""Which records of each partition are under way, and how far a commit may go."""

from collections.abc import Iterable
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition


class Offsets:
    """Records may be done in any order; committed is only what has no open record before it."""

    def __init__(self) -> None:
        # In the order taken, which within a partition is that of the offsets.
        self._open: dict[TopicPartition, dict[int, None]] = {}
        self._next: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    @property
    def under_way(self) -> int:
        """How many records are taken and not done."""
        return sum(len(found) for found in self._open.values())

    def take(self, records: Iterable["ConsumerRecord[Any, Any]"]) -> None:
        """The work on these records begins."""
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self._open.setdefault(partition, {})[record.offset] = None
            # What lies before the first record was done by somebody before us.
            self._committed.setdefault(partition, record.offset)
            self._next[partition] = record.offset + 1

    def done(self, records: Iterable["ConsumerRecord[Any, Any]"]) -> None:
        """These records have their outcome; of partitions that are gone nothing is remembered."""
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self._open.get(partition, {}).pop(record.offset, None)

    def committable(self) -> dict[TopicPartition, int]:
        """For each partition that moved since its last commit: the first record not done."""
        firsts = {p: next(iter(self._open[p]), end) for p, end in self._next.items()}
        return {p: first for p, first in firsts.items() if first > self._committed[p]}

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        """The broker has these commits."""
        self._committed |= offsets

    def forget(self) -> None:
        """The partitions were given out anew: everything starts at the last commit."""
        self._open.clear()
        self._next.clear()
        self._committed.clear()
