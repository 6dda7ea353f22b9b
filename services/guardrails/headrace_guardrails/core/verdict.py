"""What a check says about a text."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from headrace_detect import Budget, Finding
from headrace_guardrails.core.policy import CheckName, Policy

Action = Literal["pass", "redact", "block"]
OVER_BUDGET = "over_budget"
"""The label of a check that was broken off: what it says is the policy's `fail`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's decision; `labels` say why without quoting the text.

    `score` is 0 (nothing seen) to 1 (certain); at or above the check's threshold it acts.
    """

    check: CheckName
    action: Action = "pass"
    labels: tuple[str, ...] = ()
    score: float = 0.0
    findings: tuple[Finding, ...] = field(default=(), repr=False)


class Check(Protocol):
    """One check; it must be a pure function of the text, so that a replay decides the same.

    Its time is linear in the text's length, and it asks `budget` between pieces of its work.
    """

    def __call__(self, text: str, policy: Policy, budget: Budget) -> Verdict:
        """Decide on one text; raises OverBudget when that takes too long."""
        ...
