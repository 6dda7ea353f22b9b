"""A service's own copy of the workload manifests."""

from datetime import datetime

import structlog
from pydantic import ValidationError
from sqlalchemy import select

from headrace_events import Event
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit.database import Database, WorkloadRow
from headrace_kit.unit_of_work import UnitOfWork

_LOG = structlog.get_logger(__name__)


class Workloads:
    """Manifests by name: persisted with the inbox, read from memory."""

    def __init__(self) -> None:
        self._manifests: dict[str, Manifest] = {}
        self._revisions: dict[str, str] = {}
        self._applied_at: dict[str, datetime | None] = {}

    async def load(self, database: Database) -> None:
        """Read the copy at start."""
        async with database.reading() as session:
            for row in await session.scalars(select(WorkloadRow)):
                try:
                    # A newer release may have written it before this one was put back.
                    manifest = Manifest.model_validate(row.manifest, extra="ignore")
                    self._keep(manifest, row.revision, row.applied_at)
                except ValidationError as error:
                    # Written by another release: that release's newest event will replace it.
                    raise RuntimeError(
                        f"the stored manifest of {row.name} does not fit this release: "
                        f"{error.error_count()} fields; apply it again with `headrace apply`"
                    ) from None

    async def refresh(self, database: Database) -> None:
        """Take over what another replica wrote."""
        known = select(WorkloadRow.name, WorkloadRow.revision)
        async with database.reading() as session:
            changed = any(
                self._revisions.get(name) != revision
                for name, revision in await session.execute(known)
            )
        if changed:
            await self.load(database)

    def _keep(self, manifest: Manifest, revision: str, applied_at: datetime | None) -> None:
        name = manifest.metadata.name
        self._manifests[name], self._revisions[name] = manifest, revision
        self._applied_at[name] = applied_at

    async def apply(self, event: Event[WorkloadApplied], uow: UnitOfWork) -> None:
        """Take over a manifest; one that is older than the one at hand is passed over.

        It comes late when it is replayed from the dead letters, or from before a newer one.
        """
        manifest = event.data.manifest
        name = manifest.metadata.name
        row = await uow.session.get(WorkloadRow, name, with_for_update=True)
        if row and row.applied_at and _order(event) < (row.applied_at, row.event_id or ""):
            _LOG.warning("older manifest passed over", workload=name, revision=event.data.revision)
            return
        await uow.session.merge(
            WorkloadRow(
                name=name,
                revision=event.data.revision,
                manifest=manifest.model_dump(mode="json"),
                event_id=event.id,
                applied_at=event.time,
            )
        )
        self._keep(manifest, event.data.revision, event.time)

    async def is_newest(self, event: Event[WorkloadApplied], uow: UnitOfWork) -> bool:
        """Say whether an event that was just applied is what holds: for a handler beside `apply`.

        `apply` is called first, in the same transaction.
        """
        row = await uow.session.get(WorkloadRow, event.data.manifest.metadata.name)
        return row is None or row.event_id in (None, event.id)

    def get(self, name: str) -> Manifest | None:
        """Return a workload's manifest, or None if it was never applied."""
        return self._manifests.get(name)

    def applied_at(self, name: str) -> datetime | None:
        """Return when a workload's manifest was applied; None where an older release took it in."""
        return self._applied_at.get(name)

    def all(self) -> list[Manifest]:
        """Return all manifests, by name."""
        return [self._manifests[name] for name in sorted(self._manifests)]


def _order(event: Event[WorkloadApplied]) -> tuple[datetime, str]:
    """Return what says which of two manifests is newer; ids of one moment differ (UUIDv7)."""
    return event.time, event.id
