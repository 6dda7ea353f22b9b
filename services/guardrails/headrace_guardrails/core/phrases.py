"""How an injection phrase is written down and scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import ahocorasick

from headrace_detect import Budget
from headrace_guardrails.core.patterns import Pattern, compiled, encoded

_LONGEST_BEFORE = 16


@dataclass(frozen=True, slots=True)
class Phrase:
    """A pattern over folded text (see `normalise`); `hints` are literals, one of which it needs.

    Looking for literals is many times cheaper than the pattern, and most texts hold none.
    """

    label: str
    weight: float
    hints: tuple[str, ...]
    pattern: Pattern
    not_after: tuple[bytes, ...] = ()
    """What must not stand right before it: "do not ignore the rules" is no order to ignore them."""

    def occurs(self, text: bytes) -> bool:
        """Whether it stands anywhere in a folded text."""
        found = self.pattern.search(text)
        while found and self.not_after:
            start = found.start()
            if not text[max(0, start - _LONGEST_BEFORE) : start].endswith(self.not_after):
                return True
            found = self.pattern.search(text, start + 1)
        return found is not None


def phrase(label: str, weight: float, hints: str, pattern: str, not_after: str = "") -> Phrase:
    """Write one phrase; `hints` (and `not_after`) are separated by `|`."""
    before = tuple(word.encode() for word in not_after.split("|") if word)
    return Phrase(label, weight, tuple(hints.split("|")), compiled(pattern), before)


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

    def occurring(self, text: str, budget: Budget) -> set[int]:
        """The numbers of the phrases that occur; a piece of bounded length goes in at a time."""
        hinted: set[int] = set()
        for _, numbers in self._hints.iter(text):
            hinted |= numbers
        if not hinted:
            return hinted
        read = encoded(text)
        found: set[int] = set()
        for number in sorted(hinted):
            budget.check()
            if self._phrases[number].occurs(read):
                found.add(number)
        return found

    def score(self, numbers: set[int]) -> tuple[float, Sequence[str]]:
        """Sum of the weights of these phrases (each counts once), and their labels."""
        found = [self._phrases[number] for number in sorted(numbers)]
        return sum((p.weight for p in found), 0.0), [p.label for p in found]
