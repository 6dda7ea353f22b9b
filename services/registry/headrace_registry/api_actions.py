"""HTTP: what people decide about versions. Decided, written and told in one transaction."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from headrace_events.rollout import PromotionRequested, RetirementRequested, RollbackRequested
from headrace_events.text import Id, fit_text
from headrace_kit import Service
from headrace_kit.problems import ErrorBody
from headrace_registry import events
from headrace_registry.adapters import versions
from headrace_registry.core import interventions
from headrace_registry.core.interventions import Asked
from headrace_registry.core.registration import ArtefactRefused, verify
from headrace_registry.core.versions import BASE, Line

Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000),
    AfterValidator(fit_text),
    Field(description="why; it is in the event, in the audit chain and in the version's history"),
]
_REFUSED: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorBody, "description": "No such workload"},
    409: {"model": ErrorBody, "description": "It cannot be, the message says why"},
}


class Action(BaseModel):
    """Why, and who says so."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    operator: Id | None = Field(None, description="who asks, in their own words")


class Rollback(Action):
    """Where to."""

    to: Id | None = Field(
        None,
        description="a version that was in production, or `base`; the one that answered before, "
        "unless given",
    )


class DecidedOut(BaseModel):
    """What became of it."""

    name: str
    changed: bool
    """False: it was so already, and nothing was written or told."""
    before: str
    """The version in production until now; `base` where there was none."""
    production: str
    """The version in production from now on; serving follows within seconds."""
    states: dict[str, str]
    """The versions whose state changed."""
    event_id: str | None
    """The event that carries the reason; what followed has it as its cause."""


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["models"], responses=_REFUSED)

    @routes.post("/models/{name}/rollback")
    async def roll_back(name: str, body: Rollback) -> DecidedOut:
        """Put an earlier version, or the base, back in production."""
        asked = RollbackRequested(reason=body.reason, to=body.to, operator=body.operator)
        return await _decide(service, name, asked)

    @routes.post("/models/{name}/versions/{version}/promote")
    async def promote(name: str, version: str, body: Action) -> DecidedOut:
        """Give all traffic to an approved, retired or rolled-back version."""
        asked = PromotionRequested(version=version, reason=body.reason, operator=body.operator)
        return await _decide(service, name, asked)

    @routes.post("/models/{name}/versions/{version}/retire")
    async def retire(name: str, version: str, body: Action) -> DecidedOut:
        """Take a version out of use; the one in production cannot be."""
        asked = RetirementRequested(version=version, reason=body.reason, operator=body.operator)
        return await _decide(service, name, asked)

    return routes


async def _decide(service: Service, name: str, asked: Asked) -> DecidedOut:
    whole = await _whole(service, name, asked)
    async with service.unit_of_work(workload=name) as uow:
        line = await versions.load(uow.session, name)
        if not line.versions and service.workloads.get(name) is None:
            raise HTTPException(404, "no such model: GET /models lists them")
        if not isinstance(asked, RollbackRequested) and line.find(asked.version) is None:
            raise HTTPException(404, f"no such version: GET /models/{name} lists them")
        decision = interventions.decide(line, asked, datetime.now(UTC))
        if decision.refusal:
            raise HTTPException(409, decision.refusal)
        after = line.with_changes(decision.changes)
        if decision.changes and _production(after) not in (_production(line), BASE, whole):
            raise HTTPException(409, "somebody else was quicker: look at it, and ask again")
        event_id = None
        if decision.changes:
            if isinstance(asked, RollbackRequested):
                # What it was decided to mean: whoever reads it later need not find out again.
                asked = asked.model_copy(update={"to": _production(after)})
            subject = interventions.subject_of(line, asked)
            event = await uow.act_on(asked, subject=subject)
            await events.write(event, uow, subject, decision)
            event_id = event.id
    return DecidedOut(
        name=name,
        changed=bool(decision.changes),
        before=_production(line),
        production=_production(after),
        states={one.version: one.state.value for one in decision.changes},
        event_id=event_id,
    )


async def _whole(service: Service, name: str, asked: Asked) -> str | None:
    """The version that would come into production, its adapter read and found whole.

    Outside the transaction, which may not wait for files. A version may have been away for long:
    that it cannot be loaded any more must be known before all traffic goes to it.
    """
    async with service.reading() as session:
        line = versions.line(name, await versions.rows(session, name))
    after = line.with_changes(interventions.decide(line, asked, datetime.now(UTC)).changes)
    version = after.production
    if version is None or version.version == _production(line):
        return None
    try:
        await verify(version.artefact)
    except ArtefactRefused as error:
        raise HTTPException(
            409, f"version {version.version} cannot be loaded any more: {error}"
        ) from None
    return version.version


def _production(line: Line) -> str:
    return line.production.version if line.production else BASE
