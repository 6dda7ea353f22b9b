"""Compares two descriptions of a topic: what would break order, or lose records, is refused."""

from collections.abc import Iterator, Mapping
from typing import Any

from headrace_events.compat.change import Finding

_FOREVER = float("inf")


def compare_topic(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Finding]:
    """Return every difference that producers, consumers or the log would notice."""
    if old["key"] != new["key"]:
        yield Finding(
            "key",
            "key changed",
            "breaking",
            "events of one entity would be spread over partitions: consumers lose their order",
            "consumers",
            str(old["key"]),
            str(new["key"]),
        )
    if old["partitions"] != new["partitions"]:
        yield Finding(
            "partitions",
            "number of partitions changed",
            "breaking",
            "a key moves to another partition, and overtakes what it left behind; Kafka cannot "
            "take partitions away at all",
            "consumers",
            str(old["partitions"]),
            str(new["partitions"]),
        )
    if old["cleanup"] != new["cleanup"]:
        lost = (
            "all but the newest record of each key"
            if new["cleanup"] == "compact"
            else "records older than the retention, which were kept for ever"
        )
        yield Finding(
            "cleanup",
            "cleanup policy changed",
            "breaking",
            f"the log loses {lost}",
            "consumers",
            str(old["cleanup"]),
            str(new["cleanup"]),
        )
    else:
        yield from _retention(old["retention_ms"], new["retention_ms"])
    for name in ("owner", "producers", "consumers"):
        if old[name] != new[name]:
            yield Finding(
                name, f"{name} changed", "note", was=_list(old[name]), now=_list(new[name])
            )


def _retention(old: int | None, new: int | None) -> Iterator[Finding]:
    before = _FOREVER if old is None else old
    after = _FOREVER if new is None else new
    if after == before:
        return
    was, now = str(old), str(new)
    if after > before:
        yield Finding("retention_ms", "retention lengthened", "additive", was=was, now=now)
        return
    yield Finding(
        "retention_ms",
        "retention shortened",
        "breaking",
        "records are deleted that a consumer may still have to read or to replay",
        "consumers",
        was,
        now,
    )


def _list(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(value)
