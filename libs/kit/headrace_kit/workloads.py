"""A service's own copy of the workload manifests."""

from pydantic import ValidationError
from sqlalchemy import select

from headrace_events import Event
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit.database import Database, WorkloadRow
from headrace_kit.unit_of_work import UnitOfWork


class Workloads:
    """Manifests by name: persisted with the inbox, read from memory."""

    def __init__(self) -> None:
        self._manifests: dict[str, Manifest] = {}
        self._revisions: dict[str, str] = {}

    async def load(self, database: Database) -> None:
        """Read the copy at start."""
        async with database.reading() as session:
            for row in await session.scalars(select(WorkloadRow)):
                try:
                    # A newer release may have written it before this one was put back.
                    manifest = Manifest.model_validate(row.manifest, extra="ignore")
                    self._keep(manifest, row.revision)
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

    def _keep(self, manifest: Manifest, revision: str) -> None:
        self._manifests[manifest.metadata.name] = manifest
        self._revisions[manifest.metadata.name] = revision

    async def apply(self, event: Event[WorkloadApplied], uow: UnitOfWork) -> None:
        """Take over a manifest."""
        manifest = event.data.manifest
        await uow.session.merge(
            WorkloadRow(
                name=manifest.metadata.name,
                revision=event.data.revision,
                manifest=manifest.model_dump(mode="json"),
            )
        )
        self._keep(manifest, event.data.revision)

    def get(self, name: str) -> Manifest | None:
        """Return a workload's manifest, or None if it was never applied."""
        return self._manifests.get(name)

    def all(self) -> list[Manifest]:
        """Return all manifests, by name."""
        return [self._manifests[name] for name in sorted(self._manifests)]
