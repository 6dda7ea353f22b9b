"""How an injection phrase is written down and scored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import ahocorasick


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


class PhraseBook:
    """Phrases, and one automaton that finds the hints of all of them in one pass of a text."""

    def __init__(self, phrases: Sequence[Phrase]) -> None:
        self._phrases = tuple(phrases)
        by_hint: dict[str, set[int]] = {}
        for number, candidate in enumerate(self._phrases):
            for hint in candidate.hints:
                if not hint:
                    raise ValueError(f"a phrase of {candidate.label} has an empty hint")
                by_hint.setdefault(hint, set()).add(number)
        self._hints = ahocorasick.Automaton()
        for hint, numbers in by_hint.items():
            self._hints.add_word(hint, numbers)
        self._hints.make_automaton()

    def score(self, text: str) -> tuple[float, Sequence[str]]:
        """Sum of the weights of the phrases that occur (each counts once), and their labels."""
        hinted: set[int] = set()
        for _, numbers in self._hints.iter(text):
            hinted |= numbers
        found = [self._phrases[n] for n in sorted(hinted) if self._phrases[n].pattern.search(text)]
        return sum((p.weight for p in found), 0.0), [p.label for p in found]
