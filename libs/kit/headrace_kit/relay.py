"""The outbox relay: publishes committed events in order and then forgets them.

Order per key does not hang on the lease. A relay sends a key's rows by `seq` and only rows whose
predecessors are acknowledged and gone, or sent by itself before. Two relays at once, or one that
was killed before its delete, repeat events under the same ids; none overtakes another.

Topics are lanes of their own: one that does not answer keeps no other waiting. What failed is tried
again after a back-off, a key's or its topic's, and is not even read before. A row that the broker
will never take (`refusals`) stays in the outbox, marked, and no longer holds its key.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

import structlog
from sqlalchemy import Select, delete, func, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_kit.backoff import Holds
from headrace_kit.database import Database, OutboxRow
from headrace_kit.leases import Lease
from headrace_kit.metrics import EVENTS_PUBLISHED, OUTBOX_OLDEST, OUTBOX_REFUSED, OUTBOX_ROWS
from headrace_kit.refusals import is_never_taken, is_too_large

_LOG = structlog.get_logger(__name__)
_BATCH = 200
# A commit wakes the relay at once; the poll finds what another replica, or a killed one, left.
_POLL_SECONDS = 1.0
_LEASE = timedelta(seconds=10)
# To hand a record to the producer takes no time, unless Kafka does not know the topic.
_HAND_OVER_SECONDS = 5.0
# Lanes that are done by then share one delete, which is an fsync.
_TOGETHER_SECONDS = 0.5
# Kafka is back, or the topic made, at some moment: the outbox must not wait long after it.
_LONGEST_TOPIC_SECONDS = 5.0
_LONGEST_KEY_SECONDS = 30.0
# So many keys at once are not each one's own fault: then their topics wait.
_MOST_KEYS = 300

Send = Callable[[str, bytes, bytes, dict[str, str]], Awaitable[asyncio.Future[object]]]
"""topic, key, body, headers -> a future that is done when the broker has acknowledged."""


@dataclass
class _Sent:
    """What became of one topic's rows."""

    done: list[OutboxRow] = field(default_factory=list)
    refused: dict[int, BaseException] = field(default_factory=dict)
    """By `seq`: never to be taken."""
    broken: dict[str, BaseException] = field(default_factory=dict)
    """By key: what its first row that was not taken failed of."""
    away: BaseException | None = None
    """What kept the whole topic from being sent to."""


class Relay:
    """One process at a time publishes, under a lease, so that events are not sent twice for fun."""

    def __init__(self, database: Database, send: Send, owner: str) -> None:
        self._database = database
        self._send = send
        self._lease = Lease("relay", owner, _LEASE)
        self._wake = asyncio.Event()
        self._lanes: dict[str, asyncio.Task[_Sent]] = {}
        self._topics: Holds[str] = Holds(_LONGEST_TOPIC_SECONDS)
        self._keys: Holds[tuple[str, str]] = Holds(_LONGEST_KEY_SECONDS)
        self.waiting = 0
        """Rows in the outbox at the last look."""
        self.oldest: datetime | None = None
        """When the oldest of them was emitted."""
        self.refused = 0
        """Rows in the outbox that the broker will never take."""

    def wake(self) -> None:
        """Say that there is something to publish."""
        self._wake.set()

    async def run(self) -> None:
        """Publish for ever; a broken broker or database delays, it never loses."""
        try:
            while True:
                try:
                    await self._begin(await self._rows())
                    if await self._settle():
                        continue
                except (SQLAlchemyError, OSError, TimeoutError) as error:
                    _LOG.warning("outbox relay waits", error=type(error).__name__)
                with contextlib.suppress(TimeoutError):  # the poll interval is over
                    # Not wait_for: before Python 3.12 it loses a cancellation that comes with the
                    # wake.
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            await self._end_lanes()

    async def publish_batch(self) -> int:
        """Publish the oldest rows once, also what waits for its next try; return how many.

        Raises the first error of the broker, after the acknowledged rows are deleted. A failed row
        holds back the rows of its topic and key that follow it, and no other.
        """
        errors: list[BaseException] = []
        try:
            await self._begin(await self._rows(all_keys=True), wait=None)
            return await self._settle(errors)
        finally:
            await self._end_lanes()
            for error in errors:
                raise error

    async def _rows(self, *, all_keys: bool = False) -> Sequence[OutboxRow]:
        query = self._next(all_keys)
        async with self._database.reading() as session:
            rows = (await session.scalars(query)).all()
            if not rows or await self._lease.is_safe(session):
                return rows
        async with self._database.transaction() as session:
            if not await self._lease.hold(session):
                return []
            # Once more: whoever had the lease may have published these.
            return (await session.scalars(query)).all()

    def _next(self, all_keys: bool) -> Select[OutboxRow]:
        query = select(OutboxRow).where(OutboxRow.refused.is_(None)).order_by(OutboxRow.seq)
        topics = set(self._lanes)
        if not all_keys:
            keys = self._keys.held()
            if len(keys) > _MOST_KEYS:
                topics |= {topic for topic, _ in keys}
                keys = set()
            topics |= self._topics.held()
            if keys:
                query = query.where(tuple_(OutboxRow.topic, OutboxRow.key).not_in(sorted(keys)))
        if topics:
            query = query.where(OutboxRow.topic.not_in(sorted(topics)))
        return query.limit(_BATCH)

    async def _begin(
        self, rows: Sequence[OutboxRow], wait: float | None = _TOGETHER_SECONDS
    ) -> None:
        """Send each topic's rows in a task, and give all of them a moment to end."""
        by_topic = groupby(sorted(rows, key=lambda row: (row.topic, row.seq)), lambda r: r.topic)
        begun = []
        for topic, of_topic in by_topic:
            lane = asyncio.create_task(self._publish(list(of_topic)), name=f"relay {topic}")
            lane.add_done_callback(lambda _: self._wake.set())
            self._lanes[topic] = lane
            begun.append(lane)
        if begun:
            await asyncio.wait(begun, timeout=wait)

    async def _settle(self, errors: list[BaseException] | None = None) -> int:
        """Forget what the ended lanes have published; return how many rows came to an end."""
        ended = [(topic, lane) for topic, lane in self._lanes.items() if lane.done()]
        for topic, _ in ended:
            del self._lanes[topic]
        if not ended:
            return 0
        found = [(topic, lane.result()) for topic, lane in ended]
        await self._forget([row for _, sent in found for row in sent.done])
        await self._mark({seq: error for _, s in found for seq, error in s.refused.items()})
        for topic, sent in found:
            self._hold(topic, sent)
            if errors is not None:
                errors += [*sent.broken.values(), *([sent.away] if sent.away else [])]
        return sum(len(sent.done) + len(sent.refused) for _, sent in found)

    def _hold(self, topic: str, sent: _Sent) -> None:
        for row in sent.done:
            self._keys.release((row.topic, row.key))
        for key, error in sent.broken.items():
            seconds = self._keys.hold((topic, key))
            _LOG.warning(
                "outbox key waits", topic=topic, error=type(error).__name__, seconds=seconds
            )
        if sent.away is None:
            self._topics.release(topic)
        else:
            seconds, what = self._topics.hold(topic), type(sent.away).__name__
            _LOG.warning("outbox topic waits", topic=topic, error=what, seconds=seconds)

    async def _publish(self, rows: Sequence[OutboxRow]) -> _Sent:
        """Send one topic's rows in order; return when the broker has said what it thinks of each.

        `done` are rows that are settled: taken, and none of their key before them missing.
        """
        found = _Sent()
        under_way: list[tuple[OutboxRow, asyncio.Future[object]]] = []
        for row in rows:
            if row.key in found.broken:
                continue
            try:
                under_way.append((row, await self._hand_over(row)))
            except Exception as error:  # noqa: BLE001 - told in the result
                if is_too_large(error):  # by itself: the broker was not even asked
                    found.refused[row.seq] = error
                    continue
                found.away = error
                break
        results = await asyncio.gather(*(f for _, f in under_way), return_exceptions=True)
        for (row, _), result in zip(under_way, results, strict=True):
            if row.key in found.broken:
                continue
            # The broker refuses a batch for its size: for that of one row among many, perhaps.
            answer = await self._alone(row) if is_too_large(result) else result
            tries = self._keys.times((row.topic, row.key))
            if not isinstance(answer, BaseException):
                found.done.append(row)
            elif is_never_taken(answer, tries):
                found.refused[row.seq] = answer
            else:
                found.broken[row.key] = answer
        return found

    async def _hand_over(self, row: OutboxRow) -> "asyncio.Future[object]":
        async with asyncio.timeout(_HAND_OVER_SECONDS):
            return await self._send(row.topic, row.key.encode(), row.body, row.headers)

    async def _alone(self, row: OutboxRow) -> object:
        """Send a row when nothing else of its topic is under way; return what went wrong."""
        try:
            return await (await self._hand_over(row))
        except Exception as error:  # noqa: BLE001 - told in the result
            return error

    async def look(self) -> None:
        """Count what waits, beside the publishing: that one may hang on a broker that is away."""
        counted = select(func.count(), func.min(OutboxRow.created_at))
        async with self._database.reading() as session:
            unsent = counted.where(OutboxRow.refused.is_(None))
            self.waiting, self.oldest = (await session.execute(unsent)).one()
            marked = counted.where(OutboxRow.refused.is_not(None))
            self.refused = (await session.execute(marked)).one()[0]
        OUTBOX_ROWS.set(self.waiting)
        OUTBOX_OLDEST.set(self.lag_seconds())
        OUTBOX_REFUSED.set(self.refused)

    def lag_seconds(self) -> float:
        """Return the age of the oldest event that waits, 0 when none does."""
        if self.oldest is None:
            return 0.0
        return max(0.0, (datetime.now(UTC) - self.oldest).total_seconds())

    async def release(self) -> None:
        """Give the lease back at a graceful stop: another replica goes on at once."""
        async with self._database.transaction() as session:
            await self._lease.release(session)

    async def try_refused_again(self) -> int:
        """Take the marks off, for a start: a limit may have been raised. Return how many."""
        async with self._database.transaction() as session:
            return await _unmark(session)

    async def _forget(self, done: list[OutboxRow]) -> None:
        if not done:
            return
        async with self._database.transaction() as session:
            await session.execute(delete(OutboxRow).where(OutboxRow.seq.in_([r.seq for r in done])))
        for row in done:
            EVENTS_PUBLISHED.labels(row.type).inc()

    async def _mark(self, refused: dict[int, BaseException]) -> None:
        if not refused:
            return
        async with self._database.transaction() as session:
            for seq, error in refused.items():
                name = type(error).__name__
                await session.execute(
                    update(OutboxRow).where(OutboxRow.seq == seq).values(refused=name)
                )
                _LOG.critical("an event is never taken by the broker", seq=seq, error=name)

    async def _end_lanes(self) -> None:
        lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)


async def _unmark(session: AsyncSession) -> int:
    marked = (await session.scalars(select(OutboxRow).where(OutboxRow.refused.is_not(None)))).all()
    for row in marked:
        row.refused = None
    return len(marked)
