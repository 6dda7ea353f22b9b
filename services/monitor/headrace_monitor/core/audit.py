"""The audit chain: each entry's hash covers its own content and the hash before it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

FIRST = "0" * 64
"""What the first entry is chained to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One control event as it was taken in; `facts` is its payload, which holds no user text."""

    event_id: str
    type: str
    source: str
    workload: str
    subject: str
    time: datetime
    causation_id: str | None
    trace_id: str | None
    summary: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry with its place in the chain (counted from 1)."""

    position: int
    previous: str
    hash: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Verification:
    """What checking the chain found; `broken_at` is the first position that does not fit."""

    entries: int
    head: str
    broken_at: int | None = None

    @property
    def intact(self) -> bool:
        """Whether every entry fits."""
        return self.broken_at is None


def digest(position: int, previous: str, entry: Entry) -> str:
    """Return the SHA-256 of an entry's canonical JSON, its position and the hash before it."""
    content = [
        position,
        previous,
        entry.event_id,
        entry.type,
        entry.source,
        entry.workload,
        entry.subject,
        entry.time.isoformat(),
        entry.causation_id,
        entry.trace_id,
        entry.summary,
        entry.facts,
    ]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def verify(chain: Iterable[Sealed], start: int = 0, head: str = FIRST) -> Verification:
    """Check entries in order of position: none changed, missing, added or moved.

    Goes on after position `start` with hash `head`. Entries cut off at the end leave a chain that
    fits: who wants to find that too keeps the head (`GET /audit` shows it) somewhere else.
    """
    for sealed in chain:
        start += 1
        fits = sealed.position == start and sealed.previous == head
        if not fits or sealed.hash != digest(sealed.position, sealed.previous, sealed.entry):
            return Verification(start, head, broken_at=start)
        head = sealed.hash
    return Verification(start, head)
