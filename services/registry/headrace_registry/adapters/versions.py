"""Lines of versions in the database."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events import Event
from headrace_events.evaluation import EvaluationCompleted
from headrace_events.references import ArtefactRef, DatasetRef
from headrace_events.training import TrainingCompleted
from headrace_registry.adapters.tables import CuratedRow, VersionEventRow, VersionRow
from headrace_registry.core.versions import Line, State, Version

_TRAINING = {"steps", "seconds", "metrics", "settings"}


async def rows(
    session: AsyncSession, name: str | None = None, *, lock: bool = False
) -> Sequence[VersionRow]:
    """Return the rows of one workload or of all, oldest first."""
    query = select(VersionRow)
    if name:
        query = query.where(VersionRow.name == name)
    if lock:
        # Handlers of different topics may decide about one line at the same time.
        query = query.with_for_update()
    found = (await session.scalars(query)).all()
    return sorted(found, key=lambda row: (row.name, int(row.version)))


async def load(session: AsyncSession, name: str) -> Line:
    """Return a workload's line, locked until the transaction ends."""
    return line(name, await rows(session, name, lock=True))


def line(name: str, found: Sequence[VersionRow]) -> Line:
    """Return a workload's line as its rows have it."""
    return Line(name, tuple(_version(row) for row in found))


async def add(
    session: AsyncSession, version: Version, training: TrainingCompleted, at: datetime
) -> None:
    """Write a new version."""
    session.add(
        VersionRow(
            name=version.name,
            version=version.version,
            state=version.state.value,
            base=version.base,
            artefact=version.artefact.model_dump(mode="json"),
            dataset=version.dataset.model_dump(mode="json"),
            job_id=training.job_id,
            run_id=training.run_id,
            training=training.model_dump(mode="json", include=_TRAINING),
            created_at=at,
            updated_at=at,
        )
    )
    await session.flush()


async def save(session: AsyncSession, changes: Iterable[Version], at: datetime) -> None:
    """Write changes one after the other: production is left before it is taken."""
    for version in changes:
        row = await session.get_one(VersionRow, (version.name, version.version))
        evaluation = version.evaluation.model_dump(mode="json") if version.evaluation else None
        if evaluation != row.evaluation:
            row.evaluation, row.evaluated_at = evaluation, at
        row.state, row.replaced, row.reason = version.state.value, version.replaced, version.reason
        row.withdrawn = version.withdrawn
        row.updated_at = at
        await session.flush()


def record(
    session: AsyncSession,
    event: Event[Any],
    version: str,
    *,
    name: str | None = None,
    event_type: str | None = None,
    refusal: str | None = None,
    note: str = "",
) -> None:
    """Write an event down in a version's audit trail."""
    session.add(
        VersionEventRow(
            name=name or event.workload,
            version=version,
            event_id=event.id,
            type=event_type or event.type,
            at=event.time,
            refused=refusal is not None,
            note=refusal or note,
        )
    )


async def trail(session: AsyncSession, name: str, version: str) -> Sequence[VersionEventRow]:
    """Return a version's events, oldest first."""
    query = (
        select(VersionEventRow)
        .where(VersionEventRow.name == name, VersionEventRow.version == version)
        .order_by(VersionEventRow.seq)
    )
    return (await session.scalars(query)).all()


async def curated(session: AsyncSession, name: str, digest: str) -> CuratedRow | None:
    """Return what is known of a dataset version."""
    return await session.get(CuratedRow, (name, digest))


def _version(row: VersionRow) -> Version:
    return Version(
        name=row.name,
        version=row.version,
        base=row.base,
        artefact=ArtefactRef.model_validate(row.artefact),
        dataset=DatasetRef.model_validate(row.dataset),
        state=State(row.state),
        evaluation=EvaluationCompleted.model_validate(row.evaluation) if row.evaluation else None,
        replaced=row.replaced,
        reason=row.reason,
        withdrawn=bool(row.withdrawn),
        changed_at=row.updated_at,
    )
