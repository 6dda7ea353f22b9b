"""Polls the lane of a stream: takes only what fits, commits only what is done, drains at the end.

Not FastStream's subscriber: that handles one batch after another and commits the consumer's
position, while here records may be done out of order, and a rebalance waits for what is under way.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from headrace_kafka import Consumer, give_up
from headrace_kit.assignment import sticky_assignor
from headrace_kit.background import Background
from headrace_kit.held import Lane
from headrace_kit.metrics import REBALANCES
from headrace_kit.offsets import Offsets
from headrace_kit.settings import Kafka
from headrace_kit.silence import Silence, join_anew

_LOG = structlog.get_logger(__name__)
_POLL_MS = 200  # bounds an idle poll, and so how long a drain waits for it
_POLL_SECONDS = 5.0  # aiokafka does not count the wait for a rebalance's end
_FETCH_WAIT_MS = 100
_RETRY_SECONDS = 1.0
# A commit is a write for the broker, as dear as a batch of events. After a kill what was done in
# the meantime is done again, under the same ids.
_COMMIT_SECONDS = 0.1
_COMMIT_TIMEOUT_SECONDS = 10.0  # aiokafka tries again for ever, also with a consumer that is closed
_MOST_FAILURES = 5
_MOST_HEARTBEAT_MS = 3_000
_BEFORE_REBALANCE_TIMEOUT = 0.8  # of it; past it the group goes on without us

OnRecords = Callable[[Sequence["ConsumerRecord[Any, Any]"]], Awaitable[None]]


class StreamConsumer(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """One consumer of one group.

    With `in_flight` None the records come in micro-batches, one after another, in order. Else each
    record is handled alone and at most that many at once; the next are polled as room appears.
    """

    def __init__(
        self,
        topics: Sequence[str],
        consume: OnRecords,
        *,
        group: str,
        instance: str,
        settings: Kafka,
        max_records: int,
        in_flight: int | None,
        gather_bytes: int = 1,
        background: Background | None = None,
    ) -> None:
        self._topics = topics
        self._consume = consume
        self._group = group
        self._instance = instance
        self._settings = settings
        self._most = max_records if in_flight is None else min(max_records, in_flight)
        self._in_flight = in_flight
        self._gather_bytes = gather_bytes
        self._background = background or Background()
        self._polled = False
        self._offsets = Offsets()
        self.lane = Lane(group)
        self._consumer: Any = None
        self._polling: asyncio.Task[None] | None = None
        self._committing: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._failures = 0  # polls in a row
        self._draining = False
        self._assigned = asyncio.Event()
        self._room = asyncio.Event()
        self._dirty = asyncio.Event()

    async def start(self) -> None:
        """Join the group and begin to poll."""
        self._consumer = self._new_member()
        await self._consumer.start()
        self._polling = self._background.start(
            f"poll {self._group}", self._poll_or_join_anew, endless=False
        )
        self._committing = self._background.start(f"commit {self._group}", self._commits)

    def _new_member(self) -> Any:
        kafka = self._settings
        found: Any = Consumer(
            bootstrap_servers=kafka.bootstrap_servers,
            client_id=self._instance,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=kafka.max_record_bytes,
            fetch_min_bytes=self._gather_bytes,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            **membership(kafka, self._instance),
        )
        found.subscribe(list(self._topics), listener=self)
        return found

    async def drain(self) -> None:
        """Poll no more; finish and commit what is under way, as far as the time allows."""
        if self._draining:
            return
        self._draining = True
        self.lane.end()
        self._room.set()
        self._assigned.set()
        waiting = [task for task in (self._polling, *self._under_way) if task]
        if waiting:
            await asyncio.wait(waiting, timeout=self._settings.drain_seconds)
        unfinished = self._offsets.under_way
        if unfinished:
            _LOG.warning("not finished, handled again later", group=self._group, records=unfinished)

    async def stop(self) -> None:
        """Drain, commit and disconnect; a static member's partitions wait for it to come back."""
        await self.drain()
        tasks = [task for task in (self._polling, self._committing, *self._under_way) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._consumer:
            await self._commit()
            await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish what is under way before another member may get its partition."""
        self._assigned.clear()
        if self._under_way:
            await asyncio.wait(
                self._under_way,
                timeout=self._settings.rebalance_timeout_ms / 1000 * _BEFORE_REBALANCE_TIMEOUT,
            )
        await self._commit()
        # Here and not when partitions are assigned: the first records may come before that call.
        self._offsets.forget()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Go on at the last commits."""
        REBALANCES.labels(self._group).inc()
        self._assigned.set()

    async def _poll_or_join_anew(self) -> None:
        """Poll; begun anew after a death, as a new member: what was taken then comes again."""
        if self._polled and not self._draining:
            await join_anew(self._group, self._become_a_new_member)
        self._polled = True
        await self._poll()

    async def _poll(self) -> None:
        silence = Silence()
        while not self._draining:
            # Not for ever: what keeps aiokafka's coordinator from a rebalance's end it tells to a
            # poll, and waits until there is one.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._assigned.wait()
            records = await self._fetch(await self._wait_for_room())
            if self._draining:
                return
            if records:
                silence.end()
                await self._begin(records)
                continue
            silent = silence.seconds(self._consumer, joined=self._assigned.is_set())
            if self._failures >= _MOST_FAILURES or silent > self._settings.silence_seconds:
                await join_anew(self._group, self._become_a_new_member)
                self._failures = 0
                silence.end()

    async def _fetch(self, most: int) -> list["ConsumerRecord[Any, Any]"]:
        """The next records, at most so many; none also where the poll failed, which is counted."""
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=most)
        except TimeoutError:
            return []
        except Exception as error:  # noqa: BLE001 - a lane outlives whatever its client dies of
            self.lane.stand(error)
            self._failures += 1
            await asyncio.sleep(_RETRY_SECONDS)
            return []
        self._failures = 0
        self.lane.go()
        # Of the assignment that holds now, also where the rebalance came during the poll: aiokafka
        # forgets what it fetched for an older one.
        return [record for batch in batches.values() for record in batch]

    async def _begin(self, records: Sequence["ConsumerRecord[Any, Any]"]) -> None:
        self._offsets.take(records)
        if self._in_flight is None:
            await asyncio.wait([self._spawn(records)])
        else:
            for record in records:
                self._spawn([record])

    async def _become_a_new_member(self) -> None:
        """What aiokafka does not do by itself.

        It keeps a member id that the broker fenced: a static member is fenced when the broker took
        it in anew and the answer was lost, as happens when Kafka dies.
        """
        if self._draining:
            return
        self._assigned.clear()
        self._offsets.forget()
        await give_up(self._consumer)
        self._consumer = self._new_member()
        await self._consumer.start()

    async def _wait_for_room(self) -> int:
        """How many records may be taken now."""
        if self._in_flight is None:
            return self._most
        while len(self._under_way) >= self._in_flight and not self._draining:
            self._room.clear()
            await self._room.wait()
        return max(1, min(self._most, self._in_flight - len(self._under_way)))

    def _spawn(self, records: Sequence["ConsumerRecord[Any, Any]"]) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._work(records))
        self._under_way.add(task)
        task.add_done_callback(self._left)
        return task

    def _left(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._room.set()

    async def _work(self, records: Sequence["ConsumerRecord[Any, Any]"]) -> None:
        if await self.lane.work(self._consume, records):
            self._offsets.done(records)
            self._dirty.set()

    async def _commits(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if await self._commit():
                await asyncio.sleep(_COMMIT_SECONDS)
            else:
                await asyncio.sleep(_RETRY_SECONDS)
                self._dirty.set()

    async def _commit(self) -> bool:
        """Commit what is done; whether another try is of no use."""
        offsets = self._offsets.committable()
        if not offsets:
            return True
        try:
            async with asyncio.timeout(_COMMIT_TIMEOUT_SECONDS):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # The group has moved on: the new owner does these again, with the same outcome ids.
            _LOG.warning("commit refused", group=self._group, error=type(error).__name__)
            return True
        except Exception as error:  # noqa: BLE001 - tried again; without commits a lane never ends
            _LOG.warning("commit failed", group=self._group, error=type(error).__name__)
            return False
        self._offsets.committed(offsets)
        return True


def membership(kafka: Kafka, instance: str) -> dict[str, Any]:
    """How a consumer takes part in its group, for every consumer of a service."""
    return {
        # Static: a replica that is back within the session takes its partitions without a
        # rebalance, and does not leave when it stops.
        "group_instance_id": instance if kafka.static_membership else None,
        "session_timeout_ms": kafka.session_timeout_ms,
        # Also how soon a member hears of a rebalance, so not longer with a long session.
        "heartbeat_interval_ms": min(kafka.session_timeout_ms // 3, _MOST_HEARTBEAT_MS),
        "rebalance_timeout_ms": kafka.rebalance_timeout_ms,
        # Heartbeats come from a task of their own, so slow work is no death; this is the limit
        # after which a consumer that polls nothing is held to be stuck.
        "max_poll_interval_ms": kafka.max_poll_interval_ms,
        "partition_assignment_strategy": (sticky_assignor(),),
    }
