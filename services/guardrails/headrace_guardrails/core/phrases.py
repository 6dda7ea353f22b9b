"""How an injection phrase is written down and scored."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrase:
    """A pattern over folded text (see `normalise`); `hints` are literals, one of which it needs.

    Looking for literals is many times cheaper than the pattern, and most texts hold none.
    """

    label: str
    weight: float
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


def phrase(label: str, weight: float, hints: str, pattern: str) -> Phrase:
    """Write one phrase; `hints` are separated by `|`."""
    return Phrase(label, weight, tuple(hints.split("|")), re.compile(pattern))


def score(text: str, phrases: Iterable[Phrase]) -> tuple[float, Sequence[str]]:
    """Sum of the weights of the phrases that occur (each counts once), and their labels."""
    total, labels = 0.0, []
    for candidate in phrases:
        if any(hint in text for hint in candidate.hints) and candidate.pattern.search(text):
            total += candidate.weight
            labels.append(candidate.label)
    return total, labels
