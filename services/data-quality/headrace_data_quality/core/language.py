"""Languages: which one a row is in, and whether that is certainly none of the wanted ones."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import re2

Detect = Callable[[str], dict[str, float]]
"""Text -> probability by ISO 639-1 code, of the likeliest languages."""

UNKNOWN = "und"

# Fewer letters than this and a detector guesses: short texts are never dropped for their language.
_FEWEST_LETTERS = 40
_CERTAIN = 0.7
_HARDLY = 0.05
_LIKELY = 0.3

# Code is in no language, and neither are placeholders, addresses, identifiers and numbers.
_CODE = re2.compile(r"(?s:```.*?```)|`[^`\n]*`")
_EDGES = ".,;:!?()[]\"'„”“‘’…-–*"
_JOINTS = str.maketrans("’-", "''")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The language of a text among the wanted ones, or `und`; `foreign` if surely none of them."""

    language: str
    foreign: bool


def judge(text: str, wanted: Collection[str], detect: Detect) -> Verdict:
    """Judge the prose in a text."""
    tokens = (_CODE.sub(" ", text) if "`" in text else text).split()
    words = [token for token in tokens if _is_word(token.strip(_EDGES))]
    prose = " ".join(words)
    letters = len(prose) - len(words) + 1 if words else 0
    if not letters:
        return Verdict(UNKNOWN, foreign=False)
    scores = detect(prose)
    inside = {name: score for name, score in scores.items() if name in wanted}
    best = max(inside, key=lambda name: inside[name], default=UNKNOWN)
    outside = max((s for name, s in scores.items() if name not in wanted), default=0.0)
    foreign = letters >= _FEWEST_LETTERS and outside >= _CERTAIN and sum(inside.values()) <= _HARDLY
    return Verdict(best if inside.get(best, 0.0) >= _LIKELY else UNKNOWN, foreign)


def _is_word(token: str) -> bool:
    """Letters, and between them apostrophes and hyphens."""
    return all(part.isalpha() for part in token.translate(_JOINTS).split("'"))
