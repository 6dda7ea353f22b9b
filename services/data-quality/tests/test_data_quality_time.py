"""Hostile text: every rule that reads a text takes time that is linear in its length."""

import time
from collections.abc import Callable

import pytest

from headrace_data_quality.core import cleaning
from headrace_data_quality.core.cleaning import clean
from headrace_data_quality.core.language import judge
from headrace_data_quality.core.pii import redact
from headrace_data_quality.core.rows import RawRow, Reject
from headrace_data_quality.core.text import normalise, prompt_key, same_text
from headrace_events.workload import Data

SHORT, LONG = 8_000, 200_000
PIECES = [
    " ", " x", "\t", "\n", "\n ", "a\n", "`", "```", "``` ", "```a```", "`a`", "'", "a'", "a-", "-",
    ".", "?", "@", "!", "1", "1 ", "06 30 ", "06301234567 ", "a@b.hu ", "order number ",
    "version 1",
    "HU42 1177 ", "4111 ", "\u00a0", "\u200b", "e\u0301", "\ufdfa",
    "\u0300\u0316", "\u0315\u0300\u0316\u0334",
]  # fmt: skip


def nothing(text: str) -> dict[str, float]:
    return {"en": 1.0}


RULES: dict[str, Callable[[str], object]] = {
    "normalise": normalise,
    "normalise, many lines": lambda text: normalise(f"{text}x\ny"),
    "prompt_key": prompt_key,
    "same_text": lambda text: same_text(text, f"{text}x"),
    "language": lambda text: judge(text, ("en",), nothing),
    "redact": redact,
}


def cpu_seconds(work: Callable[[str], object], text: str, times: int) -> float:
    best = float("inf")
    for _ in range(times):
        started = time.process_time()
        work(text)
        best = min(best, time.process_time() - started)
    return best


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("rule", RULES)
def test_time_is_linear(rule: str, piece: str) -> None:
    """Spaces before a letter took `normalise` the square of their number, phones likewise."""
    short, long = ((piece * (n // len(piece) + 1))[:n] for n in (SHORT, LONG))
    # 25 times the length: a square would take 625 times as long.
    assert cpu_seconds(RULES[rule], long, 3) < 100 * max(cpu_seconds(RULES[rule], short, 3), 0.0005)


def test_a_row_that_takes_too_long_to_read_is_not_learned_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cleaning, "_CLEAN_SECONDS", 0.01)
    hostile = RawRow("id", "batch", "0 1 " * 50_000, "x")
    policy = Data(max_chars=1_000_000)
    assert clean(hostile, policy, nothing) == Reject("id", "batch", "over_budget")


def test_a_run_of_marks_is_cut_into_pieces_once() -> None:
    """Python sorts such a run in the square of its length: 64,000 marks took 3 s."""
    marks = "\u0300\u0316" * 100
    text = normalise(f"a{marks}b")
    assert text.replace("\u034f", "").count("\u0316") == 100
    assert normalise(text) == text
    assert normalise("ű" + "\u0301" * 3) == "ű" + "\u0301" * 3
