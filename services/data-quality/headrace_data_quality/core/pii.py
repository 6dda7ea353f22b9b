"""Personal data in text: the rules of `headrace_detect`, replaced by typed placeholders.

What guardrails mask in a prompt or an answer is masked here too, by the same rules.
"""

from collections import Counter

from headrace_detect import UNLIMITED, Budget, Context, Finding, find, replace
from headrace_detect.personal import PERSONAL


def redact(text: str, budget: Budget = UNLIMITED) -> tuple[str, Counter[str]]:
    """Replace personal data by placeholders such as <EMAIL>; return the text and the counts.

    Raises OverBudget when the text takes longer than `budget` allows.
    """
    found = personal(text, budget)
    if not found:
        return text, Counter()
    return replace(text, found, _placeholder), Counter(one.kind for one in found)


def personal(text: str, budget: Budget = UNLIMITED) -> tuple[Finding, ...]:
    """Return the personal data in a text, in its order, none overlapping another."""
    return find([text], PERSONAL, Context(budget))[0]


def _placeholder(kind: str) -> str:
    return f"<{kind.upper()}>"
