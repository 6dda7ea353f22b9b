"""HTTP: moderation as OpenAI shapes it, policies, and the verdicts that serving asks for."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from headrace_events import Event, new_id
from headrace_events.inference import Message
from headrace_events.text import Id
from headrace_guardrails.core.guard import (
    CHECKS,
    Checking,
    JudgedMessages,
    Judgement,
    judge,
    judge_messages,
)
from headrace_guardrails.core.outcomes import tripped
from headrace_guardrails.core.policy import DEFAULT, Policy, Stage, of_manifest
from headrace_guardrails.core.window import release
from headrace_guardrails.events import SOURCE
from headrace_guardrails.metrics import broken_off, observe
from headrace_guardrails.pace import Pace, judged, size_of
from headrace_kit import Service
from headrace_kit.telemetry import current_traceparent

Text = Annotated[str, Field(max_length=200_000)]


class ModerationRequest(BaseModel):
    """`POST /v1/moderations`; `model` names a workload, whose limits then apply."""

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=256)]
    model: str | None = None


class GuardInput(BaseModel):
    """A request before generation."""

    workload: str
    request_id: Id
    messages: Annotated[list[Message], Field(min_length=1, max_length=512)]


class GuardOutput(BaseModel):
    """An answer, or (`final` false) all that there is of it so far."""

    workload: str
    request_id: Id
    text: Text
    final: bool = True


class GuardVerdict(BaseModel):
    """What to go on with: `messages` or `text` as the checks left them."""

    action: Literal["pass", "redact", "block"]
    check: str | None = None
    labels: tuple[str, ...] = ()
    redactions: dict[str, int] = {}
    messages: tuple[Message, ...] | None = None
    text: str | None = None


def router(service: Service) -> APIRouter:
    """The routes of guardrails."""
    routes = APIRouter()

    def policy_of(workload: str) -> Policy:
        manifest = service.workloads.get(workload)
        if manifest is None:
            known = ", ".join(m.metadata.name for m in service.workloads.all()) or "none"
            raise HTTPException(404, f"unknown workload; known: {known}")
        return of_manifest(manifest)

    async def publish(
        workload: str, request_id: str, stage: Stage, judged: Judgement | JudgedMessages
    ) -> None:
        facts = tripped(request_id, stage, judged)
        await service.publish(
            *(
                Event[Any].new(
                    fact,
                    source=SOURCE,
                    workload=workload,
                    subject=request_id,
                    traceparent=current_traceparent(),
                )
                for fact in facts
            )
        )

    @routes.post("/v1/moderations", tags=["moderation"])
    async def moderations(body: ModerationRequest) -> dict[str, Any]:
        """Hold texts against every check; nothing is stored."""
        policy = policy_of(body.model) if body.model else DEFAULT
        texts = [body.input] if isinstance(body.input, str) else body.input
        return {
            "id": f"modr-{new_id()}",
            "model": body.model or DEFAULT.name,
            "results": await _moderated(texts, policy),
        }

    @routes.get("/policies", tags=["policies"])
    async def policies() -> dict[str, Any]:
        """The policy of every workload, as its manifest declares it."""
        return {"data": [_described(of_manifest(m)) for m in service.workloads.all()]}

    @routes.get("/policies/{workload}", tags=["policies"])
    async def policy(workload: str) -> dict[str, Any]:
        """One workload's policy."""
        return _described(policy_of(workload))

    @routes.post("/v1/guard/input", tags=["guard"])
    async def guard_input(body: GuardInput) -> GuardVerdict:
        """The verdict on a request, with its redacted messages."""
        with observe("input"):
            policy = policy_of(body.workload)
            work = partial(judge_messages, body.messages, policy, broken_off)
            judgement = await judged(size_of(body.messages), work)
        await publish(body.workload, body.request_id, "input", judgement)
        return _verdict(judgement, messages=judgement.messages)

    @routes.post("/v1/guard/output", tags=["guard"])
    async def guard_output(body: GuardOutput) -> GuardVerdict:
        """The verdict on an answer, with its redacted text.

        While the answer grows (`final` false) `text` is the prefix that no further text can
        change: what is not in it yet must not be shown. Nothing is remembered between calls.
        """
        policy = policy_of(body.workload)
        if not body.final:
            released = await judged(len(body.text), partial(release, body.text, policy))
            return GuardVerdict(action="block" if released.blocked else "pass", text=released.text)
        with observe("output"):
            work = partial(judge, body.text, policy, "output", Checking(policy, broken_off))
            judgement = await judged(len(body.text), work)
        await publish(body.workload, body.request_id, "output", judgement)
        return _verdict(judgement, text=judgement.text)

    return routes


def _verdict(judged: Judgement | JudgedMessages, **given: Any) -> GuardVerdict:
    if judged.blocked:
        return GuardVerdict(
            action="block", check=judged.blocked.check, labels=judged.blocked.labels
        )
    labels = tuple(label for verdict in judged.tripped for label in verdict.labels)
    return GuardVerdict(
        action="redact" if judged.tripped else "pass",
        check=judged.tripped[0].check if judged.tripped else None,
        labels=labels,
        redactions=judged.redactions,
        **given,
    )


async def _moderated(texts: Sequence[str], policy: Policy) -> list[dict[str, Any]]:
    """Hold each text against all checks; the budget of a check is for all texts of the request."""
    checking = Checking(policy, broken_off)
    pace = Pace()
    results = []
    for text in texts:
        results.append(await judged(len(text), partial(_against_all, text, checking)))
        await pace.breathe()
    return results


def _against_all(text: str, checking: Checking) -> dict[str, Any]:
    verdicts = {name: checking.run(name, text) for name in CHECKS}
    return {
        "flagged": any(v.action != "pass" for v in verdicts.values()),
        "categories": {name: v.action != "pass" for name, v in verdicts.items()},
        "category_scores": {name: v.score for name, v in verdicts.items()},
        "category_labels": {name: list(v.labels) for name, v in verdicts.items()},
    }


def _described(policy: Policy) -> dict[str, Any]:
    return {
        "workload": policy.name,
        "input": list(policy.input),
        "output": list(policy.output),
        "max_chars": policy.max_chars,
        "pii": policy.pii,
        "fail": policy.fail,
    }
