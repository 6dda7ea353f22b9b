"""Which version answers a request, and how a canary moves. Pure: state in, state and facts out."""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from headrace_events import EventData
from headrace_events.inference import Arm
from headrace_events.references import ModelRef
from headrace_events.rollout import (
    CanaryJudged,
    RolloutFinished,
    RolloutStarted,
    RolloutStepped,
)

BASE_VERSION = "base"
_HUNDRED = 100

CanaryState = Literal["loading", "running", "succeeded"]


@dataclass(frozen=True, slots=True)
class Canary:
    """A candidate under way; it takes `weight` percent while it is running or has succeeded."""

    rollout_id: str
    candidate: ModelRef
    incumbent: ModelRef
    steps: tuple[int, ...]
    step: int = 0
    weight: int = 0
    state: CanaryState = "loading"


@dataclass(frozen=True, slots=True)
class Route:
    """One workload's versions; `production` None: the base answers."""

    workload: str
    production: ModelRef | None = None
    canary: Canary | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that answers one request."""

    model: ModelRef
    arm: Arm
    pinned: bool = False
    """Whether the caller chose it; `arm` is then where it stands, if anywhere."""


def choose(route: Route, base: str, request_id: str, key: str | None) -> Choice:
    """Pick the version: the same key is always on the same side of one canary.

    A key's place (0 to 99) does not depend on the weight, so a rising weight only adds keys.
    """
    canary = route.canary
    if (
        canary
        and canary.weight > 0
        and _place(canary.rollout_id, key or request_id) < canary.weight
    ):
        return Choice(canary.candidate, "canary")
    if route.production:
        return Choice(route.production, "production")
    return Choice(ModelRef(name=route.workload, version=BASE_VERSION, base=base), "base")


def _place(rollout_id: str, key: str) -> int:
    # The rollout is part of it: else the same few users would be every canary's testers.
    digest = hashlib.sha256(f"{rollout_id}\x1f{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _HUNDRED


def approve(
    route: Route, candidate: ModelRef, incumbent: ModelRef, rollout_id: str, steps: tuple[int, ...]
) -> tuple[Route, list[EventData]]:
    """A candidate may take traffic: prepare its canary. A canary before it is over."""
    facts: list[EventData] = []
    before = route.canary
    if before and before.rollout_id == rollout_id:
        return route, facts
    if before and before.state != "succeeded":
        reason = f"superseded by version {candidate.version}"
        facts.append(_finished(before, "failed", reason))
    canary = Canary(rollout_id, candidate, incumbent, steps)
    return replace(route, canary=canary), facts


def start(route: Route, rollout_id: str) -> tuple[Route, list[EventData]]:
    """The candidate is loaded: give it the first step's weight."""
    canary = route.canary
    if not canary or canary.rollout_id != rollout_id or canary.state != "loading":
        return route, []
    running = replace(canary, state="running", step=0, weight=canary.steps[0])
    started = RolloutStarted(
        rollout_id=rollout_id,
        candidate=canary.candidate,
        incumbent=canary.incumbent,
        step=0,
        weight=running.weight,
        steps=canary.steps,
    )
    return replace(route, canary=running), [started]


def fail(route: Route, rollout_id: str, reason: str) -> tuple[Route, list[EventData]]:
    """The candidate cannot be served: its traffic goes back to the incumbent."""
    canary = route.canary
    if not canary or canary.rollout_id != rollout_id or canary.state == "succeeded":
        return route, []
    return replace(route, canary=None), [_finished(canary, "failed", reason)]


def judge(route: Route, judged: CanaryJudged) -> tuple[Route, list[EventData]]:
    """Take the monitor's verdict; one on another step or rollout is old and changes nothing."""
    canary = route.canary
    if (
        not canary
        or canary.state != "running"
        or canary.rollout_id != judged.rollout_id
        or canary.step != judged.step
    ):
        return route, []
    if judged.verdict == "fail":
        return fail(route, canary.rollout_id, judged.reason)
    if canary.step + 1 == len(canary.steps):
        # The weight stays until the registry promotes: nobody is moved back and forth.
        done = replace(canary, state="succeeded")
        return replace(route, canary=done), [_finished(canary, "succeeded", judged.reason)]
    step = canary.step + 1
    stepped = replace(canary, step=step, weight=canary.steps[step])
    fact = RolloutStepped(
        rollout_id=canary.rollout_id, candidate=canary.candidate, step=step, weight=stepped.weight
    )
    return replace(route, canary=stepped), [fact]


def promote(route: Route, model: ModelRef, reason: str = "") -> tuple[Route, list[EventData]]:
    """`model` takes all traffic; its canary is over, also one that somebody did not wait for."""
    canary = route.canary
    facts: list[EventData] = []
    if canary and canary.candidate.version == model.version:
        if canary.state != "succeeded":
            facts.append(_finished(canary, "succeeded", reason or "promoted before its end"))
        canary = None
    return replace(route, production=_unless_base(model), canary=canary), facts


def roll_back(route: Route, lost: ModelRef, restored: ModelRef) -> Route:
    """`restored` takes all traffic again."""
    canary = route.canary
    if canary and canary.candidate.version == lost.version:
        canary = None
    return replace(route, production=_unless_base(restored), canary=canary)


def reject(route: Route, model: ModelRef, reason: str) -> tuple[Route, list[EventData]]:
    """The registry took a version back, or somebody retired it: it may get no traffic any more."""
    canary = route.canary
    if not canary or canary.candidate.version != model.version:
        return route, []
    if canary.state == "succeeded":
        return replace(route, canary=None), []
    return fail(route, canary.rollout_id, reason)


def _unless_base(model: ModelRef) -> ModelRef | None:
    return None if model.version == BASE_VERSION else model


def _finished(
    canary: Canary, outcome: Literal["succeeded", "failed"], reason: str
) -> RolloutFinished:
    return RolloutFinished(
        rollout_id=canary.rollout_id,
        candidate=canary.candidate,
        incumbent=canary.incumbent,
        outcome=outcome,
        reason=reason,
    )
