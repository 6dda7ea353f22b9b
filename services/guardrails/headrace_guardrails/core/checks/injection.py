"""Attempts to take over the model: injection and jailbreak phrases, English and Hungarian.

A first, cheap check: scored phrases over a text whose disguise was taken away. What it misses in
new words is for a learned detector behind it.
"""

from collections.abc import Iterator

from headrace_detect import Budget
from headrace_guardrails.core import phrases_en, phrases_hu
from headrace_guardrails.core.normalise import fold, hidden, undisguised
from headrace_guardrails.core.phrases import PhraseBook
from headrace_guardrails.core.policy import Policy
from headrace_guardrails.core.verdict import Verdict

THRESHOLD = 1.0
# Orders that somebody took the trouble to hide count for more.
_HIDDEN_BONUS = 0.3
_PHRASES = PhraseBook(phrases_en.PHRASES + phrases_hu.PHRASES)
# Long texts are read piece by piece, so that the budget is asked in between; pieces overlap by more
# than a phrase is long.
_PIECE = 16_384
_OVERLAP = 512


def check(text: str, policy: Policy, budget: Budget) -> Verdict:
    """Block when the phrases of any reading of the text add up to the threshold."""
    plain, *disguises = _occurring(text, budget)
    best, labels = _PHRASES.score(plain)
    for reading_found in disguises:
        total, found = _PHRASES.score(reading_found)
        if total > best:
            best, labels = total + _HIDDEN_BONUS, [*found, "disguised"]
    confidence = round(best / (best + THRESHOLD), 3)  # 0.5 at the threshold
    if best < THRESHOLD:
        return Verdict("injection", score=confidence)
    return Verdict("injection", "block", tuple(dict.fromkeys(labels)), confidence)


def _occurring(text: str, budget: Budget) -> tuple[set[int], set[int], set[int]]:
    """The phrases in the folded text, behind leet and spelled-out words, and in base64."""
    plain: set[int] = set()
    undone: set[int] = set()
    decoded: set[int] = set()
    # Pieces are cut of the folded text: in the text as given, spaces and signs that nobody sees
    # stretch a phrase beyond every overlap.
    for piece in _pieces(fold(text, budget)):
        budget.check()
        plain |= _PHRASES.occurring(piece, budget)
        reading = undisguised(piece)
        if reading != piece:
            undone |= _PHRASES.occurring(reading, budget)
    if found := hidden(text, budget):
        for piece in _pieces(found):
            decoded |= _PHRASES.occurring(piece, budget)
    return plain, undone, decoded


def _pieces(text: str) -> Iterator[str]:
    if len(text) <= _PIECE:
        yield text
        return
    for start in range(0, len(text) - _OVERLAP, _PIECE - _OVERLAP):
        yield text[start : start + _PIECE]
