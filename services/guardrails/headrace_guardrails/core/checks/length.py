"""Texts that are longer than the policy allows."""

from headrace_detect import Budget
from headrace_guardrails.core.policy import Policy
from headrace_guardrails.core.verdict import Verdict


def check(text: str, policy: Policy, budget: Budget) -> Verdict:
    """Block a text of more than `policy.max_chars` characters; this costs nothing."""
    if len(text) <= policy.max_chars:
        return Verdict("length")
    return Verdict("length", "block", (f"over_{policy.max_chars}_chars",), 1.0)
