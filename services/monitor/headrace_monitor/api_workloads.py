"""HTTP: what each workload does, since when and why, and the manifest that holds."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_kit import Service
from headrace_kit.listing import Cursor, Limit, Page, read_cursor
from headrace_kit.listing import cursor as cursor_of
from headrace_kit.problems import ErrorBody
from headrace_monitor.adapters.tables import AlertRow
from headrace_monitor.core.loop import WorkloadLoop
from headrace_monitor.core.states import Reached, Stage, State
from headrace_monitor.core.workload_state import reached, troubles
from headrace_monitor.picture import Picture

_DECISIONS = 5
_NEVER = datetime.min.replace(tzinfo=UTC)
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody}}


class DecisionOut(BaseModel):
    """Something that was decided, and why."""

    at: datetime
    event: str
    text: str
    source: str
    event_id: str
    trace_id: str | None


class ProblemOut(BaseModel):
    """What is not well: refused and not mended, or an open alert. `step` is what can be done."""

    at: datetime
    text: str
    step: str


class ProductionOut(BaseModel):
    """The version that answers; `base` until one is promoted."""

    version: str
    since: datetime | None


class LinksOut(BaseModel):
    """Where more is: paths behind the base URL, and the trace UI's own address."""

    console: str
    model: str
    dataset: str | None
    evaluation: str | None
    traces: str | None


class WorkloadOut(BaseModel):
    """A workload: its stage for programs, the sentence for people, what comes, what can be done."""

    name: str
    owner: str
    base: str
    revision: str
    applied_at: datetime | None
    stage: Stage
    since: datetime | None
    sentence: str
    title: str
    detail: str
    progress: float | None
    """Of the stage, 0 to 1."""
    next: str
    step: str
    production: ProductionOut
    candidate: str | None
    """The version that is trained, evaluated or in its canary."""
    dataset: int | None
    reached: dict[Reached, datetime]
    """When each was last reached, by whichever version."""
    problems: list[ProblemOut]
    decisions: list[DecisionOut]
    """The newest first."""
    trace_id: str | None
    """Of the newest event."""
    links: LinksOut


class ManifestOut(BaseModel):
    """The manifest that holds, with every default written out."""

    name: str
    revision: str
    manifest: dict[str, Any]


def workloads_router(service: Service, picture: Picture, traces_url: str | None) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["workloads"])

    async def shown(names: Sequence[str]) -> list[WorkloadOut]:
        async with service.reading() as session:
            states = await picture.states(session, names)
            alerts = await _open_alerts(session, names)
        return [
            _workload(picture.loop(name), states[name], alerts.get(name, []), traces_url)
            for name in names
        ]

    @router.get("/workloads")
    async def listed(limit: Limit = 100, cursor: Cursor = None) -> Page[WorkloadOut]:
        """List the workloads by name, with what each does now."""
        after = read_cursor(cursor, str)
        names = [name for name in picture.names() if after is None or name > after[0]]
        return Page(
            data=await shown(names[:limit]),
            next=cursor_of(names[limit - 1]) if len(names) > limit else None,
        )

    @router.get("/workloads/{name}", responses=_UNKNOWN)
    async def one(name: str) -> WorkloadOut:
        """Say what one workload does, since when and why, and what can be done about it."""
        if name not in picture.names():
            raise HTTPException(404, "no such workload: GET /workloads lists them")
        return (await shown([name]))[0]

    @router.get("/workloads/{name}/manifest", responses=_UNKNOWN)
    async def manifest(name: str) -> ManifestOut:
        """Return the manifest that holds now."""
        found = service.workloads.get(name)
        if found is None:
            raise HTTPException(404, "no manifest of that name was applied")
        return ManifestOut(
            name=name, revision=found.revision(), manifest=found.model_dump(mode="json")
        )

    return router


async def _open_alerts(session: AsyncSession, names: Sequence[str]) -> dict[str, list[ProblemOut]]:
    query = (
        select(AlertRow)
        .where(AlertRow.resolved_at.is_(None), AlertRow.workload.in_(names))
        .order_by(AlertRow.raised_at.desc())
    )
    found: dict[str, list[ProblemOut]] = {}
    for row in await session.scalars(query):
        text = f"alert {row.name}: {row.summary}"
        one = ProblemOut(at=row.raised_at, text=text, step=row.next_step or "")
        found.setdefault(row.workload, []).append(one)
    return found


def _workload(
    loop: WorkloadLoop, state: State, alerts: list[ProblemOut], traces_url: str | None
) -> WorkloadOut:
    refused = [ProblemOut(at=t.at, text=t.text, step=t.step) for t in troubles(loop)]
    newest = max(loop.models.values(), key=lambda m: m.registered_at or m.decided_at or _NEVER,
                 default=None)  # fmt: skip
    under_way = state.stage in ("evaluating", "canary") and newest is not None
    evaluation = (newest.evaluation or {}).get("evaluation_id") if newest else None
    dataset = max(loop.datasets, default=None)
    return WorkloadOut(
        name=loop.name,
        owner=loop.owner,
        base=loop.base,
        revision=loop.revision,
        applied_at=loop.applied_at,
        stage=state.stage,
        since=state.since,
        sentence=state.sentence,
        title=state.title,
        detail=state.detail,
        progress=state.progress,
        next=state.next,
        step=state.step,
        production=ProductionOut(version=loop.production, since=loop.production_since),
        candidate=newest.version if newest and under_way else None,
        dataset=dataset,
        reached=reached(loop),
        problems=refused + alerts,
        decisions=[
            DecisionOut.model_validate(decision, from_attributes=True)
            for decision in reversed(loop.decisions[-_DECISIONS:])
        ],
        trace_id=loop.trace_id,
        links=LinksOut(
            console=f"/#{loop.name}",
            model=f"/models/{loop.name}",
            dataset=f"/datasets/{loop.name}/versions/{dataset}" if dataset else None,
            evaluation=f"/evaluations/{evaluation}" if evaluation else None,
            traces=traces_url,
        ),
    )
