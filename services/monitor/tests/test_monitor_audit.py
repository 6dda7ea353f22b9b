"""The audit chain finds what was changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from headrace_monitor.core.audit import FIRST, Entry, Sealed, digest, verify


def chain(length: int) -> list[Sealed]:
    found: list[Sealed] = []
    head = FIRST
    for position in range(1, length + 1):
        entry = Entry(
            event_id=f"id-{position}",
            type="model.promoted.v1",
            source="registry",
            workload="docs",
            subject="docs",
            time=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=position),
            causation_id=None,
            trace_id=None,
            summary=f"version {position} takes over",
            facts={"version": position, "size": 0.1},
        )
        sealed = Sealed(position, head, digest(position, head, entry), entry)
        found.append(sealed)
        head = sealed.hash
    return found


def test_an_untouched_chain_is_intact() -> None:
    found = chain(20)
    checked = verify(found)
    assert (checked.intact, checked.entries, checked.head) == (True, 20, found[-1].hash)


def test_a_chain_is_verified_in_parts() -> None:
    found = chain(20)
    half = verify(found[:10])
    assert verify(found[10:], half.entries, half.head) == verify(found)


def tampered(found: list[Sealed], how: str) -> list[Sealed]:
    at = found[9]
    changes = {
        "summary": [replace(at, entry=replace(at.entry, summary="version 3 takes over"))],
        "facts": [replace(at, entry=replace(at.entry, facts={"version": 3, "size": 0.1}))],
        "time": [replace(at, entry=replace(at.entry, time=at.entry.time + timedelta(days=1)))],
        "hash": [replace(at, hash="f" * 64)],
        "removed": [],
        "doubled": [at, at],
    }
    return [*found[:9], *changes[how], *found[10:]]


@pytest.mark.parametrize("how", ["summary", "facts", "time", "hash", "removed", "doubled"])
def test_a_tampered_entry_is_found(how: str) -> None:
    checked = verify(tampered(chain(20), how))
    assert checked.broken_at in {10, 11}


def test_an_entry_sealed_again_after_a_change_breaks_the_next_one() -> None:
    found = chain(20)
    entry = replace(found[9].entry, summary="version 3 takes over")
    found[9] = replace(found[9], entry=entry, hash=digest(10, found[9].previous, entry))
    assert verify(found).broken_at == 11
