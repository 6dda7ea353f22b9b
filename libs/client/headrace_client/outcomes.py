"""Reads outcomes and parts from Kafka and hands them to the requests that wait for them."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from headrace_client.errors import ConnectionLost, Unreachable
from headrace_events import InvalidEvent, parse, topics
from headrace_events.inference import (
    InferenceCompleted,
    InferencePartCompleted,
    InferenceRejected,
)
from headrace_kafka import Consumer, give_up, is_cancelled

_LOG = logging.getLogger(__name__)
_TOPICS = (topics.INFERENCE_COMPLETED, topics.INFERENCE_PARTS)
_MODELS = {m.TYPE: m for m in (InferenceCompleted, InferenceRejected, InferencePartCompleted)}
_POLL_MS = 200
_RETRY_SECONDS = 1.0

Outcome = InferenceCompleted | InferenceRejected


@dataclass(slots=True)
class Waiting:
    """A request under way: its outcome comes once, its parts in order or not at all."""

    outcome: "asyncio.Future[Outcome]"
    parts: "asyncio.Queue[str | None]" = field(default_factory=asyncio.Queue)
    next_part: int = 0

    def take_part(self, part: InferencePartCompleted) -> None:
        """Queue a part; after a gap the rest comes from the outcome, which holds the whole."""
        if part.index == self.next_part:
            self.next_part += 1
            self.parts.put_nowait(part.text)

    def finish(self, outcome: Outcome) -> None:
        """Take the outcome; a repeat of it changes nothing."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)
            self.parts.put_nowait(None)

    def fail(self, error: Exception) -> None:
        """No outcome will come here."""
        if not self.outcome.done():
            self.outcome.set_exception(error)
            self.outcome.exception()  # nobody may be waiting: that is no reason for a warning
            self.parts.put_nowait(None)


class Outcomes:
    """One reader for all requests of a client, from the topics' ends on, in no consumer group."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._consumer: Any = None
        self._waiting: dict[str, Waiting] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Stand at the end of every partition before the first request is sent."""
        try:
            await self._stand_at_the_end()
        except UnknownTopicOrPartitionError:
            raise Unreachable(
                f"Kafka lacks one of {', '.join(_TOPICS)}: is it Headrace's? "
                "`headrace up` makes them"
            ) from None
        self._task = asyncio.create_task(self._keep_reading(), name="headrace-client outcomes")

    async def _stand_at_the_end(self) -> None:
        self._consumer = Consumer(
            *_TOPICS,
            bootstrap_servers=self._servers,
            group_id=None,
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        await self._consumer.start()
        # Asking for the end now, and not leaving it to the first fetch ("latest"), is what keeps
        # an outcome that comes at once from being missed.
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        for partition, offset in ends.items():
            self._consumer.seek(partition, offset)

    async def stop(self) -> None:
        """Stop reading; who still waits is told."""
        for waiting in self._waiting.values():
            waiting.fail(ConnectionLost("the client was closed before the outcome came"))
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._disconnect()

    async def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        # aiokafka's stop fails when one of its own tasks had no turn yet.
        await asyncio.sleep(0.05)
        await give_up(consumer)

    def expect(self, request_id: str) -> Waiting:
        """Start to wait for a request's outcome."""
        waiting = Waiting(asyncio.get_running_loop().create_future())
        self._waiting[request_id] = waiting
        return waiting

    def forget(self, request_id: str) -> None:
        """Nobody waits any more."""
        self._waiting.pop(request_id, None)

    async def _keep_reading(self) -> None:
        """Read until cancelled; should the reading end, say so to who waits, and begin anew."""
        while True:
            try:
                if self._consumer is None:
                    await self._stand_at_the_end()
                    # Asked in the meantime: the answer may have come before anybody read.
                    self._lose("the client connected anew")
                await self._read()
            # Whatever it was, the next call must work.
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled():
                    raise
                _LOG.warning("reading outcomes ended, begins anew: %s", type(error).__name__)
                self._lose(f"reading outcomes ended ({type(error).__name__})")
                await self._disconnect()
                await asyncio.sleep(_RETRY_SECONDS)

    def _lose(self, why: str) -> None:
        for waiting in self._waiting.values():
            waiting.fail(ConnectionLost(f"{why} before this outcome came; asking again is safe"))

    async def _read(self) -> None:
        while True:
            try:
                batches = await self._consumer.getmany(timeout_ms=_POLL_MS)
            except (KafkaError, OSError) as error:
                _LOG.warning("reading outcomes waits: %s", type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for records in batches.values():
                for record in records:
                    self._take(record)

    def _take(self, record: "ConsumerRecord[Any, Any]") -> None:
        headers = dict(record.headers)
        # The subject is the request's id: other products' answers are not even decoded.
        waiting = self._waiting.get((headers.get("ce_subject") or b"").decode(errors="replace"))
        if waiting is None:
            return
        try:
            raw = parse(headers, record.value)
            model = _MODELS.get(raw.type)
            data = raw.load(model, record.topic).data if model else None
        except Exception as error:  # noqa: BLE001 - no record may end the reading of the others
            # By class: a message of somebody else's code may quote what it read.
            reason = str(error) if isinstance(error, InvalidEvent) else type(error).__name__
            _LOG.warning("outcome passed over: %s", reason)
            return
        if isinstance(data, InferencePartCompleted):
            waiting.take_part(data)
        elif isinstance(data, InferenceCompleted | InferenceRejected):
            waiting.finish(data)
            self.forget(data.request_id)  # who asked has it in hand; a repeat is nobody's
