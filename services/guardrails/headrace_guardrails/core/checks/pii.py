"""Personal data: the rules of `headrace_detect`, which data-quality has for training data too."""

from headrace_detect import UNLIMITED, Budget, Context, Finding, find
from headrace_detect.personal import PERSONAL
from headrace_guardrails.core.policy import Policy
from headrace_guardrails.core.verdict import Verdict


def check(text: str, policy: Policy, budget: Budget) -> Verdict:
    """Redact or block, as the policy says, when there is personal data."""
    found = personal(text, budget)
    if not found:
        return Verdict("pii")
    labels = tuple(sorted({finding.kind for finding in found}))
    return Verdict("pii", policy.pii, labels, 1.0, found)


def personal(text: str, budget: Budget = UNLIMITED) -> tuple[Finding, ...]:
    """Pieces of personal data from left to right, without overlaps."""
    return find([text], PERSONAL, Context(budget))[0]
