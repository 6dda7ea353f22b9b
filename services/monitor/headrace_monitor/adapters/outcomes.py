"""Outcomes and ratings: each request counts once, however often its events arrive."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy import delete, func, insert, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_monitor.adapters.tables import OutcomeRow, RatingRow, RolloutRow, TripRow
from headrace_monitor.core.canary import Arm
from headrace_monitor.core.outcomes import Kind, Outcome

# Newest answers and ratings of an arm that a judgement looks at: requests and errors are counted
# in the database, latencies and ratings are carried here each second.
_JUDGED_LATENCIES = 1000
_JUDGED_RATINGS = 5000
_SQLITE_VARIABLES = 500


@dataclass(frozen=True, slots=True)
class Rating:
    """A rating that was new: which series it belongs to and what it replaces."""

    request_id: str
    rating: int
    at: datetime
    workload: str
    version: str
    arm: str
    replaced: int | None = None


async def _known(session: AsyncSession, ids: Sequence[str]) -> dict[str, OutcomeRow]:
    found: dict[str, OutcomeRow] = {}
    for start in range(0, len(ids), _SQLITE_VARIABLES):
        part = ids[start : start + _SQLITE_VARIABLES]
        rows = await session.scalars(select(OutcomeRow).where(OutcomeRow.request_id.in_(part)))
        found |= {row.request_id: row for row in rows}
    return found


async def _rated(session: AsyncSession, ids: Sequence[str]) -> dict[str, RatingRow]:
    found: dict[str, RatingRow] = {}
    for start in range(0, len(ids), _SQLITE_VARIABLES):
        part = ids[start : start + _SQLITE_VARIABLES]
        rows = await session.scalars(select(RatingRow).where(RatingRow.request_id.in_(part)))
        found |= {row.request_id: row for row in rows}
    return found


async def record(
    session: AsyncSession, outcomes: Sequence[Outcome]
) -> tuple[list[Outcome], list[Rating]]:
    """Store the outcomes not seen before; return them and the ratings that waited for them."""
    unique = {o.request_id: o for o in reversed(outcomes)}
    known = await _known(session, list(unique))
    new = [o for o in unique.values() if o.request_id not in known]
    if not new:
        return [], []
    # `seq` follows the order of completion within a batch, which drift windows go by.
    new.sort(key=lambda o: o.at)
    rows = [
        {
            "request_id": o.request_id,
            "workload": o.workload,
            "version": o.version,
            "arm": o.arm,
            "kind": o.kind,
            "latency_ms": o.latency_ms,
            "at": o.at,
            "sketch": o.sketch,
        }
        for o in new
    ]
    await session.execute(insert(OutcomeRow), rows)
    waiting = await _rated(session, [o.request_id for o in new])
    ratings = [
        Rating(o.request_id, r.rating, r.at, o.workload, o.version, o.arm)
        for o in new
        if (r := waiting.get(o.request_id))
    ]
    return new, ratings


async def rate(session: AsyncSession, ratings: Sequence[tuple[str, int, datetime]]) -> list[Rating]:
    """Store ratings (request, rating, time); return those of known requests that changed one."""
    ids = list({request_id for request_id, _, _ in ratings})
    stored, known = await _rated(session, ids), await _known(session, ids)
    changed: list[Rating] = []
    for request_id, rating, at in sorted(ratings, key=lambda r: r[2]):
        row = stored.get(request_id)
        if row is None:
            row = stored[request_id] = RatingRow(request_id=request_id, rating=rating, at=at)
            session.add(row)
            replaced = None
        elif at <= row.at:
            continue
        else:
            replaced, row.rating, row.at = row.rating, rating, at
        if outcome := known.get(request_id):
            changed.append(
                Rating(
                    request_id,
                    rating,
                    at,
                    outcome.workload,
                    outcome.version,
                    outcome.arm,
                    replaced,
                )
            )
    return changed


async def arm(session: AsyncSession, workload: str, version: str, since: datetime) -> Arm:
    """Return what one version made of its requests since a moment, oldest first, with ratings.

    A request that it was not to blame for (no room, no engine, no guard) says nothing about it.
    """
    of_arm = (
        OutcomeRow.workload == workload,
        OutcomeRow.version == version,
        OutcomeRow.at >= since,
        OutcomeRow.kind != "unavailable",
    )
    newest = OutcomeRow.at.desc(), OutcomeRow.seq.desc()
    counted = await session.execute(
        select(func.count(), func.count().filter(OutcomeRow.kind != "ok")).where(*of_arm)
    )
    requests, errors = counted.one()
    latencies = await session.scalars(
        select(OutcomeRow.latency_ms)
        .where(*of_arm, OutcomeRow.latency_ms.is_not(None))
        .order_by(*newest)
        .limit(_JUDGED_LATENCIES)
    )
    rated = select(OutcomeRow.request_id).where(*of_arm).order_by(*newest).limit(_JUDGED_RATINGS)
    ratings = await session.scalars(
        select(RatingRow.rating).where(RatingRow.request_id.in_(rated.scalar_subquery()))
    )
    return Arm(
        version=version,
        requests=requests,
        errors=errors,
        latencies_ms=tuple(reversed([one for one in latencies if one is not None])),
        ratings=tuple(ratings),
    )


async def recent(session: AsyncSession, since: datetime) -> tuple[list[Outcome], list[Rating]]:
    """Return the outcomes and ratings since a moment, to make the windows again."""
    found = await session.scalars(
        select(OutcomeRow).where(OutcomeRow.at >= since).order_by(OutcomeRow.at)
    )
    outcomes = [
        Outcome(r.request_id, r.workload, r.version, r.arm, cast(Kind, r.kind), r.latency_ms, r.at)
        for r in found
    ]
    rated = await session.execute(
        select(RatingRow, OutcomeRow.workload, OutcomeRow.version, OutcomeRow.arm)
        .join(OutcomeRow, OutcomeRow.request_id == RatingRow.request_id)
        .where(RatingRow.at >= since)
        .order_by(RatingRow.at)
    )
    ratings = [Rating(r.request_id, r.rating, r.at, w, v, a) for r, w, v, a in rated]
    return outcomes, ratings


async def prune(session: AsyncSession, keep: timedelta, most: int) -> None:
    """Forget what is old and, beyond `most` requests, the oldest; never a running candidate's."""
    running = select(RolloutRow.workload, RolloutRow.candidate).where(RolloutRow.running)
    newest = await session.scalar(select(func.max(OutcomeRow.seq))) or 0
    oldest = datetime.now(UTC) - keep
    await session.execute(
        delete(OutcomeRow).where(
            or_(OutcomeRow.at < oldest, OutcomeRow.seq <= newest - most),
            tuple_(OutcomeRow.workload, OutcomeRow.version).not_in(running),
        )
    )
    await session.execute(delete(RatingRow).where(RatingRow.at < oldest))
    await session.execute(delete(TripRow).where(TripRow.at < oldest))
    await session.execute(
        delete(RolloutRow).where(RolloutRow.running.is_(False), RolloutRow.opened_at < oldest)
    )
