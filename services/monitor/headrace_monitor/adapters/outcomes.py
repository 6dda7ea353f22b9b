"""Outcomes and ratings: each request counts once, however often its events arrive."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import delete, func, insert, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_monitor.adapters.tables import OutcomeRow, RatingRow, RolloutRow, TripRow
from headrace_monitor.core.canary import Arm
from headrace_monitor.core.outcomes import Kind, Outcome
from headrace_monitor.core.windows import SeriesKey

# Newest answers and ratings of an arm that a judgement looks at: requests and errors are counted
# in the database, latencies and ratings are carried here each second.
_JUDGED_LATENCIES = 1000
_JUDGED_RATINGS = 5000
_SQLITE_VARIABLES = 500
# Rows read or deleted at a time: some milliseconds each.
_READ_ROWS = 2000


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


async def newest(
    session: AsyncSession, workload: str, version: str, since: datetime
) -> datetime | None:
    """Return when a version was asked last since a moment, however that ended."""
    query = select(OutcomeRow.at).where(
        OutcomeRow.workload == workload, OutcomeRow.version == version, OutcomeRow.at >= since
    )
    return await session.scalar(query.order_by(OutcomeRow.at.desc()).limit(1))


@dataclass(frozen=True, slots=True)
class Counted:
    """One stored request, as far as windows need it."""

    series: SeriesKey
    kind: Kind
    latency_ms: float | None
    at: datetime


async def recent(
    session: AsyncSession, since: datetime, after: tuple[datetime, int] | None
) -> tuple[list[Counted], tuple[datetime, int] | None]:
    """Return the next part of the outcomes since a moment, oldest first, and where it ends.

    Columns alone, and a part at a time: an hour may hold some 100,000 rows. The end of the last
    part is None.
    """
    place = OutcomeRow.at, OutcomeRow.seq
    query = (
        select(
            OutcomeRow.workload,
            OutcomeRow.version,
            OutcomeRow.arm,
            OutcomeRow.kind,
            OutcomeRow.latency_ms,
            *place,
        )
        .where(OutcomeRow.at >= since if after is None else tuple_(*place) > tuple_(*after))
        .order_by(*place)
        .limit(_READ_ROWS)
    )
    rows = (await session.execute(query)).all()
    found = [
        Counted(SeriesKey(w, v, a), cast(Kind, kind), latency, at)
        for w, v, a, kind, latency, at, _ in rows
    ]
    full = len(rows) == _READ_ROWS
    return found, (rows[-1].at, rows[-1].seq) if full else None


async def recent_ratings(
    session: AsyncSession, since: datetime, after: tuple[datetime, str] | None
) -> tuple[list[Rating], tuple[datetime, str] | None]:
    """Return the next part of the ratings since a moment whose request is known, as `recent`."""
    place = RatingRow.at, RatingRow.request_id
    query = (
        select(
            RatingRow.request_id,
            RatingRow.rating,
            RatingRow.at,
            OutcomeRow.workload,
            OutcomeRow.version,
            OutcomeRow.arm,
        )
        .join(OutcomeRow, OutcomeRow.request_id == RatingRow.request_id)
        .where(RatingRow.at >= since if after is None else tuple_(*place) > tuple_(*after))
        .order_by(*place)
        .limit(_READ_ROWS)
    )
    rows = (await session.execute(query)).all()
    full = len(rows) == _READ_ROWS
    return [Rating(*row) for row in rows], (rows[-1].at, rows[-1].request_id) if full else None


async def counts(session: AsyncSession) -> dict[str, int]:
    """Return how many outcomes are kept of each workload."""
    found = await session.execute(
        select(OutcomeRow.workload, func.count()).group_by(OutcomeRow.workload)
    )
    return {workload: count for workload, count in found}


async def cut(session: AsyncSession, workload: str, keep: int) -> int | None:
    """Return the `seq` up to which a workload's outcomes are beyond its newest `keep`."""
    return await session.scalar(
        select(OutcomeRow.seq)
        .where(OutcomeRow.workload == workload)
        .order_by(OutcomeRow.seq.desc())
        .offset(keep)
        .limit(1)
    )


async def forget(session: AsyncSession, workload: str | None, beyond: int | datetime) -> int:
    """Delete some outcomes that are too old or too many, never a running candidate's.

    Of one workload up to a `seq`, or of all before a moment. Returns how many: the caller goes on
    while there are any, each time in a transaction of its own, so that no writer waits for all.
    """
    running = select(RolloutRow.workload, RolloutRow.candidate).where(RolloutRow.running)
    of = OutcomeRow.at < beyond if isinstance(beyond, datetime) else OutcomeRow.seq <= beyond
    oldest = (
        select(OutcomeRow.seq)
        .where(
            of,
            true() if workload is None else OutcomeRow.workload == workload,
            tuple_(OutcomeRow.workload, OutcomeRow.version).not_in(running),
        )
        .limit(_READ_ROWS)
    )
    done = await session.execute(
        delete(OutcomeRow)
        .where(OutcomeRow.seq.in_(oldest.scalar_subquery()))
        .returning(OutcomeRow.seq)
    )
    return len(done.all())


async def forget_rest(session: AsyncSession, before: datetime) -> None:
    """Forget ratings, trips and finished roll-outs of before a moment."""
    await session.execute(delete(RatingRow).where(RatingRow.at < before))
    await session.execute(delete(TripRow).where(TripRow.at < before))
    await session.execute(
        delete(RolloutRow).where(RolloutRow.running.is_(False), RolloutRow.opened_at < before)
    )
