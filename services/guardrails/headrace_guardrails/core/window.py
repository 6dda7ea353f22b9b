"""How much of a growing answer may be given out already.

A piece of personal data may be cut by the boundary between two parts. So the end of the text is
held back for as long as it can still be the beginning of one: the last, unfinished word, and the
words before it that look like pieces of a number. What is given out is always a prefix of the
redacted whole, however the text was cut.
"""

import re
from dataclasses import dataclass

from headrace_guardrails.core.checks import pii
from headrace_guardrails.core.policy import Policy
from headrace_guardrails.core.redaction import redact

# Longest match of any detector is an e-mail address; an answer that is one long table of numbers
# must not be held back for ever.
MOST_HELD = 400
_WORD = re.compile(r"\S+")
# A word that a match may go on over: it has a digit, or is only signs, or is a group of an IBAN.
_SUSPICIOUS = re.compile(r"\S*\d\S*|[^\w\s]+|[A-Z]{1,4}")


@dataclass(frozen=True, slots=True)
class Released:
    """What may go out: a prefix of the checked answer, or a block."""

    text: str
    blocked: bool = False


def is_suspicious(word: str) -> bool:
    """Whether personal data of several words may contain this one."""
    return _SUSPICIOUS.fullmatch(word) is not None


def held_from(text: str) -> int:
    """Index from which the text must be held back while more may come."""
    start = len(text)
    words = list(_WORD.finditer(text, max(0, len(text) - MOST_HELD)))
    unfinished = bool(words) and words[-1].end() == len(text)
    for number, word in enumerate(reversed(words)):
        if not (unfinished and number == 0) and not is_suspicious(word.group()):
            break
        start = word.start()
    return start


def release(text: str, policy: Policy) -> Released:
    """The checked prefix of an unfinished answer that no further text can change."""
    if "length" in policy.output and len(text) > policy.max_chars:
        return Released("", blocked=True)
    if "pii" not in policy.output:
        return Released(text)
    end = held_from(text)
    findings = pii.find(text)
    # Findings reach over the end only when the cap on held text cut a long row of numbers.
    for finding in findings:
        if finding.start < end < finding.end:
            end = finding.start
    sure = [finding for finding in findings if finding.end <= end]
    if sure and policy.pii == "block":
        return Released("", blocked=True)
    return Released(redact(text[:end], sure))
