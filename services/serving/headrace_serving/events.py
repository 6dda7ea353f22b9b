"""Kafka handlers of control events: each reads the route, calls core, writes the route."""

from collections.abc import Callable
from typing import Any

from headrace_events import Event, EventData, derived_id
from headrace_events.models import (
    ModelApproved,
    ModelPromoted,
    ModelRegistered,
    ModelRejected,
    ModelRetired,
    ModelRolledBack,
)
from headrace_events.rollout import CanaryJudged, RolloutFinished, RolloutStarted
from headrace_events.workload import Canary as CanarySpec
from headrace_events.workload import Manifest
from headrace_kit import Service, UnitOfWork
from headrace_serving.adapters import routes, versions
from headrace_serving.core import routing
from headrace_serving.core.routing import Route

ROLLOUT_JOB = "rollout"


def register(service: Service) -> None:
    """Handle every control event that moves a route."""
    service.on(ModelRegistered, on_registered)
    service.on(ModelRetired, on_retired)
    service.on(ModelApproved, _approved(service.workloads.get))
    service.on(CanaryJudged, on_judged)
    service.on(ModelPromoted, on_promoted)
    service.on(ModelRolledBack, on_rolled_back)
    service.on(ModelRejected, on_rejected)
    service.replays(RolloutStarted, replay_started)
    service.replays(RolloutFinished, replay_finished)


def _approved(lookup: Callable[[str], Manifest | None]) -> Any:
    async def on_approved(event: Event[ModelApproved], uow: UnitOfWork) -> None:
        """Prepare a canary; a job loads the candidate and starts it."""
        manifest = lookup(event.workload)
        canary = manifest.spec.serve.canary if manifest else CanarySpec()
        await versions.note(uow.session, event.data.model, event.time)
        rollout_id = derived_id(event.id, ROLLOUT_JOB)
        before = await routes.read(uow.session, event.workload)
        after, facts = routing.approve(
            before, event.data.model, event.data.incumbent, rollout_id, canary.steps
        )
        await save(uow, before, after, facts)
        await uow.enqueue(
            ROLLOUT_JOB, rollout_id, {"model": event.data.model.model_dump(mode="json")}
        )

    return on_approved


async def on_registered(event: Event[ModelRegistered], uow: UnitOfWork) -> None:
    """A version that may be asked by its name."""
    await versions.note(uow.session, event.data.model, event.time)


async def on_retired(event: Event[ModelRetired], uow: UnitOfWork) -> None:
    """A version that may not be asked any more; if it is in its canary, that ends."""
    retired = event.data
    await versions.note(uow.session, retired.model, event.time, "retired", retired.reason)
    before = await routes.read(uow.session, event.workload)
    after, facts = routing.reject(before, retired.model, retired.reason)
    await save(uow, before, after, facts, retired.reason)


async def on_judged(event: Event[CanaryJudged], uow: UnitOfWork) -> None:
    """Move the canary on, finish it or end it."""
    before = await routes.read(uow.session, event.workload)
    after, facts = routing.judge(before, event.data)
    await save(uow, before, after, facts, event.data.reason)


async def on_promoted(event: Event[ModelPromoted], uow: UnitOfWork) -> None:
    """All traffic to the promoted version."""
    await versions.note(uow.session, event.data.model, event.time)
    if await routes.is_late(uow.session, event.workload, event.time):
        return
    before = await routes.read(uow.session, event.workload)
    reason = event.data.reason or ""
    after, facts = routing.promote(before, event.data.model, reason)
    await save(uow, before, after, facts, reason)
    await routes.note_decision(uow.session, event.workload, event.time)


async def on_rolled_back(event: Event[ModelRolledBack], uow: UnitOfWork) -> None:
    """All traffic to the restored version; the one that lost may still be asked by its name."""
    for model in (event.data.model, event.data.restored):
        await versions.note(uow.session, model, event.time)
    if await routes.is_late(uow.session, event.workload, event.time):
        return
    before = await routes.read(uow.session, event.workload)
    after = routing.roll_back(before, event.data.model, event.data.restored)
    await save(uow, before, after, [], event.data.reason)
    await routes.note_decision(uow.session, event.workload, event.time)


async def on_rejected(event: Event[ModelRejected], uow: UnitOfWork) -> None:
    """No more traffic for a rejected version."""
    rejected = event.data
    await versions.note(uow.session, rejected.model, event.time, "rejected", rejected.reason)
    before = await routes.read(uow.session, event.workload)
    after, facts = routing.reject(before, event.data.model, event.data.reason)
    await save(uow, before, after, facts, event.data.reason)


async def replay_started(event: Event[RolloutStarted], uow: UnitOfWork) -> None:
    """Start a canary again whose candidate was loaded then."""
    before = await routes.read(uow.session, event.workload)
    after, facts = routing.start(before, event.data.rollout_id)
    await save(uow, before, after, facts)


async def replay_finished(event: Event[RolloutFinished], uow: UnitOfWork) -> None:
    """End a canary that could not be loaded then, before it began or while it ran.

    One that was judged was ended by its handler: this event comes after that.
    """
    before = await routes.read(uow.session, event.workload)
    canary, ended = before.canary, event.data
    if canary and canary.rollout_id == ended.rollout_id and ended.outcome == "failed":
        after, facts = routing.fail(before, ended.rollout_id, ended.reason)
        await save(uow, before, after, facts, ended.reason)


async def save(
    uow: UnitOfWork, before: Route, after: Route, facts: list[EventData], reason: str = ""
) -> None:
    """Write the route and what happened in one transaction."""
    await routes.write(uow.session, before, after, uow.at, reason)
    for fact in facts:
        uow.emit(fact, workload=after.workload)
