"""Runs detectors over texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace_detect.budget import UNLIMITED, Budget
from headrace_detect.finding import Finding
from headrace_detect.text.plain import PlainText, may_hold_numbers_or_addresses


@dataclass(frozen=True, slots=True)
class Context:
    """What is the same for all detectors of one look."""

    budget: Budget = UNLIMITED


class Detector(Protocol):
    """One detector: a pure function; it yields places in `text`, from left to right.

    Its time is linear in the text's length, and it asks `context.budget` before each piece of
    work that costs more than a few microseconds.
    """

    def __call__(self, text: PlainText, context: Context) -> Iterator[Finding]:
        """Find one kind of thing."""
        ...


_NO_CONTEXT = Context()


def find(
    texts: Sequence[str], detectors: Sequence[Detector], context: Context = _NO_CONTEXT
) -> list[tuple[Finding, ...]]:
    """Return the findings in each text, from left to right, none overlapping another.

    Of two that overlap the one that begins first counts, then the one whose detector stands first.
    Raises OverBudget when `context.budget` is used up before all is read.
    """
    return [_find(text, detectors, context) for text in texts]


def _find(original: str, detectors: Sequence[Detector], context: Context) -> tuple[Finding, ...]:
    if not may_hold_numbers_or_addresses(original):
        return ()
    text = PlainText(original)
    candidates: list[Finding] = []
    for detector in detectors:
        context.budget.check()
        candidates += detector(text, context)
    candidates.sort(key=lambda finding: finding.start)  # stable: keeps the detectors' order
    kept: list[Finding] = []
    for finding in candidates:
        if not kept or finding.start >= kept[-1].end:
            kept.append(finding)
    return tuple(text.original(finding) for finding in kept)
