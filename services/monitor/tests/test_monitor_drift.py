"""Drift: planted shifts are found, chance is not taken for drift, no text is kept."""

import random
from collections.abc import Sequence
from itertools import accumulate

import pytest

from headrace_monitor.core import drift
from headrace_monitor.core.drift import Measurement, change, measure, sketch

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
