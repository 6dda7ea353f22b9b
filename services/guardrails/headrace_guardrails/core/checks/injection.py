"""Attempts to take over the model: injection and jailbreak phrases, English and Hungarian.

A first, cheap check: scored phrases over a text whose disguise was taken away. What it misses in
new words is for a learned detector behind it.
"""

from headrace_guardrails.core import phrases_en, phrases_hu
from headrace_guardrails.core.normalise import variants
from headrace_guardrails.core.phrases import PhraseBook
from headrace_guardrails.core.policy import Policy
from headrace_guardrails.core.verdict import Verdict

THRESHOLD = 1.0
# Orders that somebody took the trouble to hide count for more.
_HIDDEN_BONUS = 0.3
_PHRASES = PhraseBook(phrases_en.PHRASES + phrases_hu.PHRASES)


def check(text: str, policy: Policy) -> Verdict:
    """Block when the phrases of any reading of the text add up to the threshold."""
    plain, *hidden = variants(text)
    best, labels = _PHRASES.score(plain)
    for reading in hidden:
        total, found = _PHRASES.score(reading)
        if total > best:
            best, labels = total + _HIDDEN_BONUS, [*found, "disguised"]
    confidence = round(best / (best + THRESHOLD), 3)  # 0.5 at the threshold
    if best < THRESHOLD:
        return Verdict("injection", score=confidence)
    return Verdict("injection", "block", tuple(dict.fromkeys(labels)), confidence)
