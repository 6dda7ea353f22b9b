"""How large a record is for a broker that stores it alone in a batch and uncompressed."""

from collections.abc import Iterable

# The batch's header, and the record's fixed fields with their longest variable-length numbers.
_BATCH = 61
_RECORD = 21 + 15
_HEADER = 10

DEFAULT_MOST_BYTES = 1_048_588
"""The `max.message.bytes` of a topic that sets none: Kafka's `message.max.bytes`."""


def record_bytes(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> int:
    """Return an upper bound in bytes, to compare with the topic's `max.message.bytes`.

    The broker measures the batch as it was sent: what came compressed may be far larger when it is
    sent on.
    """
    # A character has at most four bytes in UTF-8; exact where it is ASCII, as names are.
    named = sum(
        (len(name) if name.isascii() else 4 * len(name)) + len(content or b"") + _HEADER
        for name, content in headers
    )
    return _BATCH + _RECORD + len(key or b"") + len(value or b"") + named
