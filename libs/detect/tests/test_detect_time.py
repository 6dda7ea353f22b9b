"""Hostile text: the time of every detector grows with the length, not with its square."""

import time

import pytest

from headrace_detect import Budget, Context, OverBudget, find
from headrace_detect.personal import PERSONAL
from headrace_detect.text.plain import PlainText

# What each pattern and each loop is fond of, and what almost fits it.
PIECES = [
    "@", "!", "1", "0", "8", " ", "1 ", "12 ", "123 ", "1-", "1/", "1.", "a@", "a@b.", "a.", "a-",
    "@a", "a@b.hu ", "'", "06", "0 ", "00 ", "+", "+1", "+1 ", "+1 1 1 1 1 1 1 1 ", "(06) ",
    "06 30 ", "06301234567 ", "06 30 123 4567 ", "02071838750 ", "212-", "212-736-5000 ", "(212) ",
    "HU", "HU42", "HU42 ", "HU42 1177 ", "AA11 ", "4111 ", "4111-1111-", "4111 1111 1111 1111 ",
    "30/123-4567 ", "30/123-4567/", "30/", "(30) ", "a@b.hu.", "a@xn--", "a@b-", "06301234567,",
    "123 456 788 ", "taj 123456788 ", "taj", "8362361123 ", "12892312-2-42 ", "1 850101 1234 ",
    "\u00ad1", "é1\u200b", "\ud83d1 ", "１", "–", "\u00a01", "e\u0301", "version 0", "9" * 16 + " ",
]  # fmt: skip
SHORT, LONG = 8_000, 200_000


def cpu_seconds(text: str, times: int) -> float:
    best = float("inf")
    for _ in range(times):
        started = time.process_time()
        find([text], PERSONAL)
        best = min(best, time.process_time() - started)
    return best


@pytest.mark.parametrize("piece", PIECES)
def test_time_is_linear(piece: str) -> None:
    short, long = ((piece * (n // len(piece) + 1))[:n] for n in (SHORT, LONG))
    # 25 times the length: a square would take 625 times as long.
    assert cpu_seconds(long, times=3) < 100 * max(cpu_seconds(short, times=3), 0.0005)


def test_each_detector_asks_the_budget() -> None:
    text = PlainText("+36 30 123 4567 HU42 1177 3016 1111 1018 0000 0000 a@b.hu " * 100)
    for detector in PERSONAL:
        with pytest.raises(OverBudget), Budget(-1.0) as budget:
            list(detector(text, Context(budget)))


def test_a_used_up_budget_ends_the_look() -> None:
    started = time.process_time()
    with pytest.raises(OverBudget), Budget(0.05) as budget:
        find(["0 1 " * 200_000], PERSONAL, Context(budget))
    assert time.process_time() - started < 2.0
