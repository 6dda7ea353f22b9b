"""Languages: which one a row is in, and whether that is certainly none of the wanted ones."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

Detect = Callable[[str], dict[str, float]]
"""Text -> probability by ISO 639-1 code, of the likeliest languages."""

UNKNOWN = "und"

# Fewer letters than this and a detector guesses: short texts are never dropped for their language.
_FEWEST_LETTERS = 40
_CERTAIN = 0.7
_HARDLY = 0.05
_LIKELY = 0.3

# Code, addresses, placeholders and identifiers are in no language.
_NOT_PROSE = re.compile(
    r"```.*?```|`[^`\n]*`|https?://\S+|<[A-Z]+>|\S*[\w]+[._/\\][\w]+\S*|\S*\d\S*", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The language of a text among the wanted ones, or `und`; `foreign` if surely none of them."""

    language: str
    foreign: bool


def judge(text: str, wanted: Collection[str], detect: Detect) -> Verdict:
    """Judge the prose in a text."""
    prose = " ".join(_NOT_PROSE.sub(" ", text).split())
    letters = sum(1 for c in prose if c.isalpha())
    if not letters:
        return Verdict(UNKNOWN, foreign=False)
    scores = detect(prose)
    inside = {name: score for name, score in scores.items() if name in wanted}
    best = max(inside, key=lambda name: inside[name], default=UNKNOWN)
    outside = max((s for name, s in scores.items() if name not in wanted), default=0.0)
    foreign = letters >= _FEWEST_LETTERS and outside >= _CERTAIN and sum(inside.values()) <= _HARDLY
    return Verdict(best if inside.get(best, 0.0) >= _LIKELY else UNKNOWN, foreign)
