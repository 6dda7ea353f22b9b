"""The versions that the registry told of: serving's own copy, for requests that name one."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events.references import ModelRef
from headrace_kit.database import Database
from headrace_serving.adapters.routes import RouteCache
from headrace_serving.adapters.tables import VersionRow
from headrace_serving.core.pinning import Known, Standing, pin
from headrace_serving.core.routing import BASE_VERSION, Choice

# A request that names a version waits for one small read, others of its workload for none.
_FRESH_SECONDS = 1.0
_REMEMBERED = 1000


async def note(
    session: AsyncSession,
    model: ModelRef,
    at: datetime,
    standing: Standing = "known",
    reason: str = "",
) -> None:
    """Keep what an event says of a version; one that comes late changes nothing."""
    if model.version == BASE_VERSION:
        return
    row = await session.get(VersionRow, (model.name, model.version), with_for_update=True)
    if row is None:
        row = VersionRow(workload=model.name, version=model.version, registered_at=at)
        session.add(row)
    else:
        row.registered_at = min(row.registered_at, at)
        if at < row.decided_at:
            return
    row.model, row.standing = model.model_dump(mode="json"), standing
    row.reason, row.decided_at = reason, at


async def all_known(session: AsyncSession, workload: str | None = None) -> dict[str, list[Known]]:
    """The versions of each workload, or of one."""
    query = select(VersionRow)
    if workload is not None:
        query = query.where(VersionRow.workload == workload)
    found: dict[str, list[Known]] = {}
    for row in await session.scalars(query):
        known = Known(
            model=ModelRef.model_validate(row.model),
            standing=row.standing,
            reason=row.reason,
            registered_at=row.registered_at,
        )
        found.setdefault(row.workload, []).append(known)
    return found


class Pins:
    """Finds the version that a request names."""

    def __init__(self, database: Database, routes: RouteCache) -> None:
        self._database = database
        self._routes = routes
        self._found: OrderedDict[str, tuple[float, Sequence[Known]]] = OrderedDict()

    async def __call__(self, workload: str, version: str, base: str) -> Choice:
        """The version as a choice; raise Unanswered where it may not be served."""
        known = () if version == BASE_VERSION else await self._known(workload)
        return pin(version, known, self._routes.get(workload), base)

    async def _known(self, workload: str) -> Sequence[Known]:
        at, known = self._found.get(workload, (0.0, ()))
        if at and time.monotonic() - at < _FRESH_SECONDS:
            return known
        async with self._database.reading() as session:
            known = (await all_known(session, workload)).get(workload, [])
        self._found[workload] = (time.monotonic(), known)
        self._found.move_to_end(workload)
        while len(self._found) > _REMEMBERED:
            self._found.popitem(last=False)
        return known
