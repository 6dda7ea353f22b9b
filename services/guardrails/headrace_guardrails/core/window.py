"""How much of a growing answer may be given out already.

A piece of personal data may be cut by the boundary between two parts. So the end of the text is
held back for as long as it can still be the beginning of one: the last, unfinished word, and the
words before it that look like pieces of a number. What is given out is always a prefix of the
redacted whole, however the text was cut.
"""

from dataclasses import dataclass

from headrace_detect import Budget, OverBudget, replace
from headrace_detect.text.bounds import is_word
from headrace_detect.text.plain import PlainText
from headrace_guardrails.core.checks import pii
from headrace_guardrails.core.guard import CHECK_SECONDS, placeholder
from headrace_guardrails.core.policy import Policy

# Longest match of any detector is an e-mail address; an answer that is one long table of numbers
# must not be held back for ever.
MOST_HELD = 400
_LONGEST_GROUP = 4


@dataclass(frozen=True, slots=True)
class Released:
    """What may go out: a prefix of the checked answer, or a block."""

    text: str
    blocked: bool = False


def is_suspicious(word: str) -> bool:
    """Whether personal data of several words may contain this one.

    It has a digit, or is only signs, or is a group of an IBAN: capital letters in any width.
    """
    plain = PlainText(word).text
    if any(map(str.isdigit, plain)) or not any(map(is_word, plain)):
        return True
    return len(plain) <= _LONGEST_GROUP and plain.isascii() and plain.isalpha() and plain.isupper()


def held_from(text: str) -> int:
    """Index from which the text must be held back while more may come."""
    start = len(text)
    tail = text[-MOST_HELD:]
    at = len(text)
    for number, word in enumerate(reversed(tail.split())):
        at = text.rindex(word, 0, at)
        unfinished = number == 0 and at + len(word) == len(text)
        if not unfinished and not is_suspicious(word):
            break
        start = at
    return start


def release(text: str, policy: Policy) -> Released:
    """The checked prefix of an unfinished answer that no further text can change."""
    if "length" in policy.output and len(text) > policy.max_chars:
        return Released("", blocked=True)
    if "pii" not in policy.output:
        return Released(text)
    end = held_from(text)
    try:
        with Budget(CHECK_SECONDS) as budget:
            findings = pii.personal(text, budget)
    except OverBudget:
        return Released(text) if policy.fail == "open" else Released("", blocked=True)
    # Findings reach over the end only when the cap on held text cut a long row of numbers.
    for finding in findings:
        if finding.start < end < finding.end:
            end = finding.start
    sure = [finding for finding in findings if finding.end <= end]
    if sure and policy.pii == "block":
        return Released("", blocked=True)
    return Released(replace(text[:end], sure, placeholder))
