"""Runs the checks of a policy over a text, or over the messages of a request."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from headrace_detect import Budget, OverBudget
from headrace_detect import replace as without
from headrace_events.inference import Message
from headrace_guardrails.core.checks import injection, length, pii
from headrace_guardrails.core.policy import CheckName, Policy, Stage
from headrace_guardrails.core.verdict import OVER_BUDGET, Check, Verdict

# CPU seconds of each check for all texts of one request. An ordinary request takes a thousandth of
# it; the worst text of 8,000 characters that we know, a tenth.
CHECK_SECONDS = 0.25

CHECKS: dict[CheckName, Check] = {
    "length": length.check,
    "injection": injection.check,
    "pii": pii.check,
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all checks of a stage together say; `text` is the text to go on with."""

    text: str = field(repr=False)
    verdicts: tuple[Verdict, ...] = ()
    redactions: dict[str, int] = field(default_factory=dict)

    @property
    def tripped(self) -> tuple[Verdict, ...]:
        """The verdicts that did something."""
        return tuple(v for v in self.verdicts if v.action != "pass")

    @property
    def blocked(self) -> Verdict | None:
        """The verdict that blocks, if any."""
        return next((v for v in self.verdicts if v.action == "block"), None)


@dataclass(frozen=True, slots=True)
class JudgedMessages:
    """The judgement on a conversation; `messages` are redacted one by one."""

    messages: tuple[Message, ...] = field(repr=False)
    verdicts: tuple[Verdict, ...]
    redactions: dict[str, int]

    @property
    def tripped(self) -> tuple[Verdict, ...]:
        """The verdicts that did something, one for each check."""
        return tuple(v for v in self.verdicts if v.action != "pass")

    @property
    def blocked(self) -> Verdict | None:
        """The verdict that blocks, if any."""
        return next((v for v in self.verdicts if v.action == "block"), None)


BrokenOff = Callable[[CheckName], None]
"""Is told of each check that was not finished."""


def nobody(check: CheckName) -> None:
    """Nobody is told."""


class Checking:
    """The checks of one request, each under a budget of its own for all the request's texts."""

    def __init__(
        self, policy: Policy, broken_off: BrokenOff = nobody, seconds: float = CHECK_SECONDS
    ) -> None:
        self._policy = policy
        self._broken_off = broken_off
        self._seconds = seconds
        self._budgets: dict[CheckName, Budget] = {}

    def run(self, name: CheckName, text: str) -> Verdict:
        """Ask one check; when it runs out of its budget, the policy's fail mode answers."""
        budget = self._budgets.get(name)
        if budget is None:
            budget = self._budgets[name] = Budget(self._seconds)
        try:
            with budget:
                return CHECKS[name](text, self._policy, budget)
        except OverBudget:
            self._broken_off(name)
            if self._policy.fail == "open":
                return Verdict(name, labels=(OVER_BUDGET,))
            return Verdict(name, "block", (OVER_BUDGET,), 1.0)


def placeholder(label: str) -> str:
    """What stands in the place of a finding."""
    return f"[{label}]"


def judge(text: str, policy: Policy, stage: Stage, checking: Checking | None = None) -> Judgement:
    """Run the checks of `stage`; after one blocks, the rest is not asked."""
    checking = checking or Checking(policy)
    verdicts: list[Verdict] = []
    redactions: Counter[str] = Counter()
    for name in policy.checks(stage):
        verdict = checking.run(name, text)
        verdicts.append(verdict)
        if verdict.action == "block":
            break
        if verdict.action == "redact":
            redactions.update(finding.kind for finding in verdict.findings)
            text = without(text, verdict.findings, placeholder)
    return Judgement(text, tuple(verdicts), dict(redactions))


def judge_messages(
    messages: Sequence[Message], policy: Policy, broken_off: BrokenOff = nobody
) -> JudgedMessages:
    """Judge a request: the length of all its text, everything else turn by turn.

    The product's own system turn is trusted as to injection (it gives orders by nature); earlier
    assistant turns are not: a product sends them, so a user may have written them.
    """
    checking = Checking(policy, broken_off)
    verdicts: list[Verdict] = []
    redactions: Counter[str] = Counter()
    kept: list[Message] = []
    if "length" in policy.input:
        verdicts.append(checking.run("length", "".join(m.content for m in messages)))
        if verdicts[0].action == "block":
            return JudgedMessages(tuple(messages), tuple(verdicts), {})
    rest, trusted = policy.without("length"), policy.without("length", "injection")
    for message in messages:
        asked = trusted if message.role == "system" else rest
        judged = judge(message.content, asked, "input", checking)
        verdicts += judged.verdicts
        redactions.update(judged.redactions)
        same = judged.text == message.content
        kept.append(message if same else message.model_copy(update={"content": judged.text}))
        if judged.blocked:
            break
    return JudgedMessages(tuple(kept), _merged(verdicts), dict(redactions))


def _merged(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """One verdict a check: the gravest action, all labels; offsets into turns are dropped."""
    gravity = {"pass": 0, "redact": 1, "block": 2}
    merged: dict[str, Verdict] = {}
    for verdict in verdicts:
        known = merged.get(verdict.check)
        if known is None:
            merged[verdict.check] = replace(verdict, findings=()) if verdict.findings else verdict
            continue
        worse = max(known, verdict, key=lambda v: gravity[v.action])
        merged[verdict.check] = Verdict(
            verdict.check,
            worse.action,
            tuple(dict.fromkeys((*known.labels, *verdict.labels))),
            max(known.score, verdict.score),
        )
    return tuple(merged.values())
