"""Routes in the database, and the copy in memory that requests are routed by."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events.references import ModelRef
from headrace_kit.database import Database
from headrace_serving.adapters.tables import RolloutRow, RouteRow
from headrace_serving.core.generation import Adapter
from headrace_serving.core.prompting import adapter_of
from headrace_serving.core.routing import Canary, Route


async def read(session: AsyncSession, workload: str) -> Route:
    """A workload's route; one without any is answered by the base."""
    row = await session.get(RouteRow, workload, with_for_update=True)
    return _route(row) if row else Route(workload)


async def write(
    session: AsyncSession, before: Route, after: Route, now: datetime, reason: str = ""
) -> None:
    """Store a changed route, and what became of its canaries."""
    if after == before:
        return
    await session.merge(
        RouteRow(
            workload=after.workload,
            production=after.production.model_dump(mode="json") if after.production else None,
            canary=_dump(after.canary) if after.canary else None,
            updated_at=now,
        )
    )
    old, new = before.canary, after.canary
    if old and (new is None or new.rollout_id != old.rollout_id) and old.state != "succeeded":
        taken = after.production is not None and after.production == old.candidate
        state = "succeeded" if taken else "failed"
        await _note(session, after.workload, old, state, reason, now)
    if new:
        await _note(session, after.workload, new, new.state, reason, now)


async def is_late(session: AsyncSession, workload: str, at: datetime) -> bool:
    """Say whether the registry has decided about the route since `at`: replayed dead letters."""
    row = await session.get(RouteRow, workload, with_for_update=True)
    return bool(row and row.decided_at and at < row.decided_at)


async def note_decision(session: AsyncSession, workload: str, at: datetime) -> None:
    """Note when the registry decided what the route now says."""
    row = await session.get(RouteRow, workload)
    if row:
        row.decided_at = at


async def history(session: AsyncSession, limit: int = 50) -> list[RolloutRow]:
    """The newest canaries first."""
    rows = await session.scalars(
        select(RolloutRow).order_by(RolloutRow.started_at.desc()).limit(limit)
    )
    return list(rows)


class RouteCache:
    """All routes in memory. Refreshed after each change here, and again and again for changes of
    other replicas of this service."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._routes: dict[str, Route] = {}

    async def refresh(self) -> None:
        """Read all routes."""
        async with self._database.reading() as session:
            rows = (await session.scalars(select(RouteRow))).all()
        self._routes = {row.workload: _route(row) for row in rows}

    def adapters(self, base: str) -> list[Adapter]:
        """The adapters of a base that answer now."""
        found: dict[str, Adapter] = {}
        for route in self._routes.values():
            canary = route.canary.candidate if route.canary else None
            for model in (route.production, canary):
                adapter = adapter_of(model) if model and model.base == base else None
                if adapter:
                    found[adapter.digest] = adapter
        return list(found.values())

    def get(self, workload: str) -> Route:
        """A workload's route."""
        return self._routes.get(workload) or Route(workload)


async def _note(
    session: AsyncSession, workload: str, canary: Canary, state: str, reason: str, now: datetime
) -> None:
    row = await session.get(RolloutRow, canary.rollout_id)
    if row is None:
        row = RolloutRow(
            rollout_id=canary.rollout_id,
            workload=workload,
            version=canary.candidate.version,
            started_at=now,
        )
        session.add(row)
    row.state, row.step, row.weight = state, canary.step, canary.weight
    row.reason, row.updated_at = reason, now


def _dump(canary: Canary) -> dict[str, Any]:
    return {
        "rollout_id": canary.rollout_id,
        "candidate": canary.candidate.model_dump(mode="json"),
        "incumbent": canary.incumbent.model_dump(mode="json"),
        "steps": list(canary.steps),
        "step": canary.step,
        "weight": canary.weight,
        "state": canary.state,
    }


def _route(row: RouteRow) -> Route:
    canary = row.canary
    return Route(
        workload=row.workload,
        production=ModelRef.model_validate(row.production) if row.production else None,
        canary=Canary(
            rollout_id=canary["rollout_id"],
            candidate=ModelRef.model_validate(canary["candidate"]),
            incumbent=ModelRef.model_validate(canary["incumbent"]),
            steps=tuple(canary["steps"]),
            step=canary["step"],
            weight=canary["weight"],
            state=canary["state"],
        )
        if canary
        else None,
    )
