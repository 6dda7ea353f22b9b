"""What cannot be read of a partition becomes a record of its own, and reading goes on behind it.

aiokafka raises at a batch with a wrong checksum, a broken codec or a broken record. It raises again
at each poll, since the position stays, and what the same poll had read of other partitions is lost
with the error although their positions have moved. So the error must not leave the fetcher.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords

_CREATE_TIME = 0
_NO_TIMESTAMP = -1


@dataclass
class UnreadableRecord(ConsumerRecord[bytes, bytes]):  # type: ignore[misc] # aiokafka: no types
    """Stands for the records from `first_offset` to `offset`, both included.

    It has neither key, value nor headers; `error` is the class of what went wrong.
    """

    first_offset: int
    error: str


class FetchedRecords(OrderedDict[Any, Any]):
    """A fetcher's results by partition; whatever is put in is read without errors."""

    def __setitem__(self, partition: Any, result: Any) -> None:
        if type(result) is FetchResult:
            records = result._partition_records
            if records is not None and not isinstance(records._records, _Batches):
                records._records = _Batches(records._records)
                highwater = result._assignment.state_value(partition).highwater
                records._records_iterator = _read(records, highwater)
        super().__setitem__(partition, result)


class _Batches:
    """The batches of one fetch; knows the one that is being read and, on demand, the next."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self._ahead: Any = None
        self.current: Any = None

    def has_next(self) -> bool:
        return self._ahead is not None or bool(self._batches.has_next())

    def next_batch(self) -> Any:
        self.current = None
        found, self._ahead = self._ahead, None
        if found is None:
            found = self._batches.next_batch()
        self.current = found
        return found

    def end_of_current(self, first: int, highwater: int | None) -> int:
        """The offset behind the current batch, by what is known of it.

        Its own header may be what is broken: no end lies behind the beginning of the next batch, or
        behind the end of the partition.
        """
        ends = [end for end in (_number(self.current, "next_offset"), highwater) if end]
        if self._batches.has_next():
            self._ahead = self._batches.next_batch()
            ends.append(_number(self._ahead, "base_offset") or first + 1)
        return max(min(ends, default=first + 1), first + 1)


def _number(batch: Any, name: str) -> int | None:
    found = getattr(batch, name, None)
    return found if isinstance(found, int) else None


def _read(records: PartitionRecords, highwater: int | None) -> Iterator[Any]:
    """aiokafka's own iterator, begun again behind each batch that it fails at."""
    while True:
        try:
            yield from records._unpack_records()
        except Exception as error:  # noqa: BLE001 - decoders raise what they like
            # What was read of the batch before the error was handed over; the rest is skipped.
            first = records.next_fetch_offset
            batches = records._records
            if batches.current is None:
                # Not even its header: the next fetch begins one offset on.
                records.next_fetch_offset = first + 1
                yield _unreadable(records._tp, first, first, error)
                return
            end = batches.end_of_current(first, highwater)
            records.next_fetch_offset = end
            yield _unreadable(records._tp, first, end - 1, error)
        else:
            return


def _name_of(error: Exception) -> str:
    name = type(error).__name__
    # `zlib.error` says more than `error`.
    return name if name[0].isupper() else f"{type(error).__module__}.{name}"


def _unreadable(partition: Any, first: int, last: int, error: Exception) -> UnreadableRecord:
    return UnreadableRecord(
        topic=partition.topic,
        partition=partition.partition,
        offset=last,
        timestamp=_NO_TIMESTAMP,
        timestamp_type=_CREATE_TIME,
        key=None,
        value=None,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=(),
        first_offset=first,
        error=_name_of(error),
    )
