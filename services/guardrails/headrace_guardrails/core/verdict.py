"""What a check says about a text."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from headrace_guardrails.core.policy import Policy

Action = Literal["pass", "redact", "block"]
CheckName = Literal["injection", "pii", "length"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One piece of the text, [start, end), and what it is."""

    label: str
    start: int
    end: int


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
    """One check; it must be a pure function of the text, so that a replay decides the same."""

    def __call__(self, text: str, policy: Policy) -> Verdict:
        """Decide on one text."""
        ...
