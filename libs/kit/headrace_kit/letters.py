"""What a dead letter looks like: the record as it was, or as much of it as its topic takes.

headrace_dlq_topic, _partition, _offset   where it was consumed from
headrace_dlq_last_offset                  the last one, where one letter stands for several
headrace_dlq_error, _attempts, _service, _time
headrace_dlq_omitted                      "value", or "value,headers,key", when it did not fit
headrace_dlq_value_bytes, _value_sha256   of the value that was omitted
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import ConsumerRecord

from headrace_kafka import UnreadableRecord, record_bytes

HEADER_PREFIX = "headrace_dlq_"
_ENVELOPE = ("ce_id", "ce_type", "ce_workload", "ce_subject")
_MOST_ENVELOPE_BYTES = 512  # of each header that a letter without headers keeps all the same

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Letter:
    """One dead letter, ready to be sent."""

    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size(self) -> int:
        """Bytes that a broker compares with the topic's `max.message.bytes`."""
        return record_bytes(self.key, self.value, self.headers)


def letters_of(
    record: "ConsumerRecord[Any, Any]", error: str, attempts: int, service: str
) -> Iterator[Letter]:
    """Yield the record's dead letter, then smaller ones; the last fits in any topic."""
    origin = _origin(record, error, attempts, service)
    # One that was replayed with its headers left on must not have two origins.
    headers = [(k, v) for k, v in record.headers if not k.startswith(HEADER_PREFIX)]
    if isinstance(record, UnreadableRecord):
        yield Letter(_place(origin), None, _named({**origin, "omitted": "value"}))
        return
    bare = record.key is None and record.value is None
    yield Letter(_place(origin) if bare else record.key, record.value, [*headers, *_named(origin)])
    if record.value is not None:
        origin["value_bytes"] = str(len(record.value))
        origin["value_sha256"] = hashlib.sha256(record.value).hexdigest()
    short = _named({**origin, "omitted": "value"})
    yield Letter(record.key or _place(origin), None, [*headers, *short])
    kept = [(k, v) for k, v in headers if k in _ENVELOPE and len(v or b"") <= _MOST_ENVELOPE_BYTES]
    last = _named({**origin, "omitted": "value,headers,key"})
    yield Letter(_place(origin), None, [*dict(kept).items(), *last])


def _origin(
    record: "ConsumerRecord[Any, Any]", error: str, attempts: int, service: str
) -> dict[str, str]:
    first = record.offset
    found = {"topic": record.topic, "partition": str(record.partition)}
    if isinstance(record, UnreadableRecord):
        first = record.first_offset
        if record.offset != first:
            found["last_offset"] = str(record.offset)
    return {
        **found,
        "offset": str(first),
        "error": error,
        "attempts": str(attempts),
        "service": service,
        "time": datetime.now(UTC).isoformat(),
    }


def _place(origin: dict[str, str]) -> bytes:
    """A key for a letter without a value: aiokafka sends no record that has neither."""
    return f"{origin['topic']}/{origin['partition']}/{origin['offset']}".encode()


def _named(origin: dict[str, str]) -> list[tuple[str, bytes | None]]:
    return [(f"{HEADER_PREFIX}{name}", text.encode()) for name, text in origin.items()]
