"""Drift: planted shifts are found, chance is not taken for drift, no text is kept."""

import random
import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

import pytest

from headrace_events.workload import Manifest
from headrace_kit import Service
from headrace_monitor.adapters import outcomes
from headrace_monitor.adapters.tables import Base, DriftRow
from headrace_monitor.core import drift
from headrace_monitor.core.drift import Measurement, change, measure, sketch
from headrace_monitor.core.outcomes import Outcome
from headrace_monitor.settings import Settings
from headrace_monitor.watches.inputs import DriftWatch

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WINDOW = 200
VOCABULARY = [f"word{i}" for i in range(3000)]
WEIGHTS = list(accumulate(1 / (rank + 3) for rank in range(3000)))  # as words are used: Zipf


class Source:
    """Draws prompts; `shifted` of their words come from another vocabulary of the same shape."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def window(self, shifted: float = 0.0) -> Sequence[bytes]:
        return [self._prompt(shifted) for _ in range(WINDOW)]

    def _prompt(self, shifted: float) -> bytes:
        words = self.dice.choices(VOCABULARY, cum_weights=WEIGHTS, k=self.dice.randint(5, 15))
        return sketch([" ".join(w + "x" if self.dice.random() < shifted else w for w in words)])


def test_twenty_null_windows_raise_no_alarm_in_nearly_all_runs() -> None:
    alarms = 0
    for seed in range(5):
        source = Source(seed)
        reference = source.window()
        alarms += any(
            m.value > m.threshold
            for m in (measure(reference, source.window(), threshold=0.0) for _ in range(20))
        )
    # At threshold 0 only the calibration stands between chance and an alarm: 100 windows.
    assert alarms == 0


@pytest.mark.parametrize("shifted", [0.4, 0.7, 1.0])
def test_planted_shifts_are_found_in_the_first_full_window(shifted: float) -> None:
    found = 0
    for seed in range(20):
        source = Source(seed)
        measured = measure(source.window(), source.window(shifted), threshold=0.1)
        found += measured.value > measured.threshold
    assert found >= 19


def test_measuring_repeats_exactly() -> None:
    source = Source(1)
    reference, window = source.window(), source.window(0.3)
    assert measure(reference, window, 0.1) == measure(reference, window, 0.1)


def test_drift_is_told_once_until_it_has_recovered() -> None:
    def measured(value: float) -> Measurement:
        return Measurement(value, 0.25, 200, 200)

    told, drifted = [], False
    for value in (0.1, 0.4, 0.5, 0.24, 0.1, 0.3):
        told.append(change(drifted, measured(value)))
        drifted = {"drifted": True, "recovered": False}.get(told[-1] or "", drifted)
    assert told == [None, "drifted", None, None, "recovered", "drifted"]


def test_a_sketch_holds_no_text_and_no_order() -> None:
    one = sketch(["My card number is secret"])
    assert one == sketch(["secret IS number card my"])
    assert len(one) == 2 * 5
    assert b"secret" not in one
    assert sketch([""]) == b""


def test_a_long_prompt_has_a_bounded_sketch() -> None:
    assert len(sketch([" ".join(VOCABULARY)])) <= 2 * drift._MOST_TOKENS


def buckets(one: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(one) // 2}H", one))


def test_no_bucket_is_left_out_of_long_prompts() -> None:
    # Sorted and cut, a prompt of 3,000 words had no bucket above 100 of 1,024.
    dice = random.Random(1)
    seen: Counter[int] = Counter()
    for _ in range(60):
        seen.update(buckets(sketch([" ".join(dice.sample(VOCABULARY, 2000))])))
    quarters = [sum(seen[n] for n in range(q * 256, (q + 1) * 256)) for q in range(4)]
    assert min(quarters) > 0.8 * max(quarters), quarters
    assert len(seen) > 900


def test_a_long_prompt_is_drawn_alike_whenever_it_comes() -> None:
    words = random.Random(2).sample(VOCABULARY, 1000)
    assert sketch([" ".join(words)]) == sketch([" ".join(reversed(words))])


@pytest.mark.parametrize("shifted", [0.0, 0.7])
def test_a_shift_of_long_prompts_is_found(shifted: float) -> None:
    dice = random.Random(3)

    def window(shifted: float) -> list[bytes]:
        def word() -> str:
            (found,) = dice.choices(VOCABULARY, cum_weights=WEIGHTS)
            # What moves lies in the buckets that were cut off.
            high = zlib.crc32(found.encode()) % drift.BUCKETS > 700
            return "low" if high and dice.random() < shifted else found

        return [sketch([" ".join(word() for _ in range(1500))]) for _ in range(40)]

    measured = measure(window(0.0), window(shifted), threshold=0.02)
    assert (measured.value > measured.threshold) is (shifted > 0)


def test_a_long_window_is_measured_by_a_sample_of_all_of_it() -> None:
    window = [struct.pack("<H", n % 1024) for n in range(20_000)]
    drawn = drift.sample(window)
    assert len(drawn) == drift.MOST_ROWS
    assert drawn == drift.sample(window)
    places = [n for n, one in enumerate(window) if one in set(drawn)]
    assert places[0] < 2000 and places[-1] > 18_000
    assert drift.sample(window[:300]) == window[:300]


async def test_a_window_beyond_the_longest_is_cut_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of a million requests was never full, and would have been 8 GB of counts.
    monkeypatch.setattr(drift, "LONGEST_WINDOW", 30)
    monkeypatch.setattr(drift, "MOST_ROWS", 10)
    manifest = Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": "docs", "owner": "team-docs"},
            "spec": {"monitor": {"drift": {"window": 10**6}}},
        }
    )
    settings = Settings.model_validate(
        {"database": {"url": f"sqlite+aiosqlite:///{tmp_path}/m.db"}}
    )
    service = Service("monitor", settings, tables=Base.metadata)
    await service.database.create()
    monkeypatch.setattr(service.workloads, "all", lambda: [manifest])
    rows = [
        Outcome(f"{n}", "docs", "1", "production", "ok", 1.0, NOW, sketch([f"word{n}"]))
        for n in range(70)
    ]
    async with service.unit_of_work() as uow:
        await outcomes.record(uow.session, rows)
    await DriftWatch(service).tick()
    async with service.reading() as session:
        row = await session.get(DriftRow, "docs")
    assert row and row.reference and (len(row.reference), row.after_seq) == (10, 60)
    assert row.value is not None, "the second window was measured"
    await service.database.close()
