"""Runs the checks of a policy over a text, or over the messages of a request."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from headrace_events.inference import Message
from headrace_guardrails.core.checks import injection, length, pii
from headrace_guardrails.core.policy import Policy, Stage
from headrace_guardrails.core.redaction import redact
from headrace_guardrails.core.verdict import Check, Verdict

CHECKS: dict[str, Check] = {
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


def judge(text: str, policy: Policy, stage: Stage) -> Judgement:
    """Run the checks of `stage`; after one blocks, the rest is not asked."""
    verdicts: list[Verdict] = []
    redactions: Counter[str] = Counter()
    for name in policy.checks(stage):
        verdict = CHECKS[name](text, policy)
        verdicts.append(verdict)
        if verdict.action == "block":
            break
        if verdict.action == "redact":
            redactions.update(finding.label for finding in verdict.findings)
            text = redact(text, verdict.findings)
    return Judgement(text, tuple(verdicts), dict(redactions))


def judge_messages(messages: Sequence[Message], policy: Policy) -> JudgedMessages:
    """Judge a request: the length of all its text, everything else turn by turn.

    The product's own system turn is trusted as to injection (it gives orders by nature); earlier
    assistant turns are not: a product sends them, so a user may have written them.
    """
    verdicts: list[Verdict] = []
    redactions: Counter[str] = Counter()
    kept: list[Message] = []
    if "length" in policy.input:
        verdicts.append(CHECKS["length"]("".join(m.content for m in messages), policy))
        if verdicts[0].action == "block":
            return JudgedMessages(tuple(messages), tuple(verdicts), {})
    rest, trusted = policy.without("length"), policy.without("length", "injection")
    for message in messages:
        judged = judge(message.content, trusted if message.role == "system" else rest, "input")
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
