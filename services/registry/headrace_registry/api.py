"""HTTP: models with their versions, and where a version comes from."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events.evaluation import EvaluationCompleted
from headrace_events.references import ArtefactRef, DatasetRef
from headrace_kit import Service
from headrace_kit.listing import Cursor, Limit, Page, read_cursor
from headrace_kit.listing import cursor as cursor_of
from headrace_registry.adapters import versions
from headrace_registry.adapters.tables import VersionRow
from headrace_registry.core.versions import ALIASES


class VersionOut(BaseModel):
    """One model version."""

    version: str
    state: str
    aliases: list[str]
    base: str
    artefact: ArtefactRef
    dataset: DatasetRef
    run_id: str
    job_id: str
    training: dict[str, Any]
    evaluation: EvaluationCompleted | None
    replaced: str | None
    reason: str
    created_at: datetime
    updated_at: datetime


class ModelOut(BaseModel):
    """A workload's model; `production` is `base` until a version is promoted."""

    name: str
    base: str | None
    production: str
    aliases: dict[str, str]
    versions: list[VersionOut]


class LineageEventOut(BaseModel):
    """An event in a version's life."""

    id: str
    type: str
    at: datetime
    refused: bool
    note: str


class VersionDetailOut(VersionOut):
    """One version, everything that it comes from, and what became of it."""

    name: str
    sources: list[str]
    batches: list[str]
    rejects: dict[str, int]
    redactions: dict[str, int]
    events: list[LineageEventOut]


def router(service: Service) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["models"])

    @routes.get("/models")
    async def list_models(limit: Limit = 100, cursor: Cursor = None) -> Page[ModelOut]:
        """List the workloads' models by name, with versions, aliases, metrics and states."""
        after = read_cursor(cursor, str)
        async with service.reading() as session:
            found = await versions.rows(session)
        lines: defaultdict[str, list[VersionRow]] = defaultdict(list)
        for manifest in service.workloads.all():
            lines[manifest.metadata.name] = []
        for row in found:
            lines[row.name].append(row)
        names = [name for name in sorted(lines) if after is None or name > after[0]]
        return Page(
            data=[_model(service, name, lines[name]) for name in names[:limit]],
            next=cursor_of(names[limit - 1]) if len(names) > limit else None,
        )

    @routes.get("/models/{name}")
    async def get_model(name: str) -> ModelOut:
        """Return one workload's model."""
        async with service.reading() as session:
            found = await versions.rows(session, name)
        if not found and service.workloads.get(name) is None:
            raise HTTPException(404, "no such model: GET /models lists them")
        return _model(service, name, list(found))

    @routes.get("/models/{name}/versions/{version}")
    async def get_version(name: str, version: str) -> VersionDetailOut:
        """Return one version, where it comes from and what became of it."""
        return await _detail(service, name, version)

    @routes.get("/lineage/{name}/{version}", tags=["lineage"])
    async def get_lineage(name: str, version: str) -> VersionDetailOut:
        """Return where a version comes from: dataset, sources, run, evaluation, events."""
        return await _detail(service, name, version)

    return routes


async def _row(session: AsyncSession, name: str, version: str) -> VersionRow:
    row = await session.get(VersionRow, (name, version))
    if row is None:
        raise HTTPException(404, f"no such version: GET /models/{name} lists them")
    return row


async def _detail(service: Service, name: str, version: str) -> VersionDetailOut:
    async with service.reading() as session:
        row = await _row(session, name, version)
        dataset = DatasetRef.model_validate(row.dataset)
        curated = await versions.curated(session, name, dataset.digest)
        trail = await versions.trail(session, name, version)
    return VersionDetailOut(
        **_version(row).model_dump(),
        name=name,
        sources=curated.sources if curated else [],
        batches=curated.batches if curated else [],
        rejects=curated.rejects if curated else {},
        redactions=curated.redactions if curated else {},
        events=[
            LineageEventOut(
                id=event.event_id,
                type=event.type,
                at=event.at,
                refused=event.refused,
                note=event.note,
            )
            for event in trail
        ],
    )


def _model(service: Service, name: str, found: list[VersionRow]) -> ModelOut:
    shown = [_version(row) for row in found]
    # The newest last: one that carries an alias hides an older one of the same state.
    aliases = {alias: version.version for version in shown for alias in version.aliases}
    manifest = service.workloads.get(name)
    return ModelOut(
        name=name,
        base=manifest.spec.base if manifest else (found[-1].base if found else None),
        production=aliases.get("production", "base"),
        aliases=aliases,
        versions=shown,
    )


def _version(row: VersionRow) -> VersionOut:
    aliases = [a for a, states in ALIASES.items() if row.state in {s.value for s in states}]
    return VersionOut.model_validate(
        {name: getattr(row, name) for name in VersionOut.model_fields if name != "aliases"}
        | {"aliases": aliases}
    )
