"""Snapshots of the loops, so that a start folds in only what came since and not every event ever.

A snapshot is of one workload, at the position of the audit chain up to which it was folded. One
that another release of the fold has made is not read: all of the chain is folded in then.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_monitor.adapters.tables import LoopRow
from headrace_monitor.core.loop import WorkloadLoop
from headrace_monitor.core.projection import FOLD_VERSION

_LOOP = TypeAdapter(WorkloadLoop)


@lru_cache
def release() -> str:
    """Return what tells this fold from another: its number and the shape of what it makes."""
    shape = json.dumps([FOLD_VERSION, _LOOP.json_schema()], sort_keys=True)
    return hashlib.sha256(shape.encode()).hexdigest()[:16]


async def keep(session: AsyncSession, loops: Iterable[WorkloadLoop], position: int) -> None:
    """Write snapshots of the loops that changed; the others are as they were at `position`."""
    for loop in loops:
        row = await session.get(LoopRow, loop.name)
        if row and row.release == release() and row.position > position:
            continue  # another replica is further
        if row is None:
            row = LoopRow(workload=loop.name)
            session.add(row)
        row.release, row.position = release(), position
        row.state = _LOOP.dump_python(loop, mode="json")
    row = await session.get(LoopRow, "")
    if row is None:
        row = LoopRow(workload="", state={})
        session.add(row)
    elif row.release == release() and row.position > position:
        return
    row.release, row.position = release(), position


async def kept(session: AsyncSession) -> tuple[dict[str, WorkloadLoop], dict[str, int], int]:
    """Return the loops, the position of each, and the position from which to fold on."""
    loops: dict[str, WorkloadLoop] = {}
    positions: dict[str, int] = {}
    start = 0
    rows = await session.execute(
        select(LoopRow.workload, LoopRow.position, LoopRow.state).where(
            LoopRow.release == release()
        )
    )
    for workload, position, state in rows:
        if not workload:
            start = position
            continue
        try:
            loops[workload] = restored(state)
        except (ValidationError, ValueError):
            return {}, {}, 0
        positions[workload] = position
    return (loops, positions, start) if start else ({}, {}, 0)


def restored(state: dict[str, Any]) -> WorkloadLoop:
    """Return a loop from its JSON; raises ValidationError or ValueError on another shape."""
    loop = _LOOP.validate_python(state)
    # Moments inside of free-form facts: the model does not know them from text.
    for facts in (*loop.landings, *(loop.rollout.judgements if loop.rollout else ()), loop.drift):
        if facts and isinstance(facts.get("at"), str):
            facts["at"] = datetime.fromisoformat(facts["at"])
    return loop
