"""Publishing: one idempotent producer per service; done means the broker has it (acks=all)."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import OutOfOrderSequenceNumber, ProducerFenced

from headrace_events import Event
from headrace_kit import telemetry
from headrace_kit.metrics import EVENTS_PUBLISHED
from headrace_kit.unit_of_work import EventTooLarge

_LOG = structlog.get_logger(__name__)
# A record that the broker refused leaves a gap in its partition's sequence numbers, and aiokafka
# never closes it: all that follows is refused, for ever. Only a new producer id helps.
_BEYOND_REPAIR = (OutOfOrderSequenceNumber, ProducerFenced)
# A dead letter is a record as large as the broker takes, and its origin's headers.
_DEAD_LETTER_BYTES = 2 * 1024 * 1024
# aiokafka's 16 KiB is a dozen events. Everybody with one more for the partition then waits for the
# batch to leave, and all of them wake up when it does. The broker takes a megabyte.
_BATCH_BYTES = 256 * 1024


class Producer:
    """Sends events and raw records in order; sends overlap, acknowledgements are awaited."""

    def __init__(self, bootstrap_servers: str, client_id: str, max_record_bytes: int) -> None:
        self._max_bytes = max_record_bytes
        self._options: dict[str, Any] = {
            "bootstrap_servers": bootstrap_servers,
            "client_id": client_id,
            "acks": "all",
            "enable_idempotence": True,
            "max_request_size": max(max_record_bytes, _DEAD_LETTER_BYTES),
            "max_batch_size": _BATCH_BYTES,
            "linger_ms": 0,
        }
        self._producer: AIOKafkaProducer | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(**self._options)
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is under way and disconnect."""
        if self._renewal:
            await asyncio.gather(self._renewal, return_exceptions=True)
        if self._producer:
            await self._producer.stop()

    async def send(
        self, topic: str, key: bytes, body: bytes, headers: dict[str, str]
    ) -> "asyncio.Future[object]":
        """Hand over one record; the future is done when the broker has acknowledged it."""
        self._check_size(topic, body)
        encoded = [(name, value.encode()) for name, value in headers.items()]
        return await self._send(topic, key, body, encoded)

    def _check_size(self, topic: str, body: bytes) -> None:
        if len(body) > self._max_bytes:
            raise EventTooLarge(
                f"an event for {topic} has {len(body)} bytes and the topic takes {self._max_bytes}"
            )

    async def send_raw(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> object:
        """Send a record as it is and await the broker."""
        return await (await self._send(topic, key, value, headers))

    async def _send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> "asyncio.Future[object]":
        if self._renewal:
            await asyncio.shield(self._renewal)
        producer = self._ready()
        future: asyncio.Future[object] = await producer.send(
            topic, value, key, headers=list(headers)
        )
        future.add_done_callback(lambda done: self._look_at(producer, done))
        return future

    def _look_at(self, producer: AIOKafkaProducer, done: "asyncio.Future[object]") -> None:
        if done.cancelled() or not isinstance(done.exception(), _BEYOND_REPAIR):
            return
        if self._renewal is None and producer is self._producer:
            self._renewal = asyncio.create_task(self._renew(), name="producer")

    async def _renew(self) -> None:
        """Go on under a new producer id; whoever sent what was refused sends it again."""
        _LOG.warning("the broker refuses this producer's sequence; going on with a new one")
        old, self._producer = self._producer, None
        try:
            if old:
                with contextlib.suppress(Exception):  # it is beyond repair
                    await asyncio.wait_for(old.stop(), 5)
            while self._producer is None:
                producer = AIOKafkaProducer(**self._options)
                try:
                    await producer.start()
                except Exception as error:  # noqa: BLE001 - the broker may be away: try again
                    _LOG.warning("no new producer yet", error=type(error).__name__)
                    with contextlib.suppress(Exception):
                        await producer.stop()
                    await asyncio.sleep(1)
                else:
                    self._producer = producer
        finally:
            self._renewal = None

    async def publish(self, events: Sequence[Event[Any]], key: str | None = None) -> None:
        """Publish events and await the broker for all of them.

        The key is `key`, or the event's subject (inference: the request id). Each event gets a
        PRODUCER span, so that the consumer's span hangs below it.
        """
        # Before anything is sent: of what belongs together not half is published.
        bodies = [event.body() for event in events]
        for event, body in zip(events, bodies, strict=True):
            self._check_size(event.topic, body)
        futures = []
        for event, body in zip(events, bodies, strict=True):
            span = telemetry.start_producer_span(event)
            headers = event.headers()
            if traceparent := telemetry.traceparent_of(span):
                headers["traceparent"] = traceparent
            name = (key or event.subject or event.workload).encode()
            try:
                futures.append(await self.send(event.topic, name, body, headers))
            except Exception as error:
                telemetry.fail(span, error)
                raise
            span.end()
        if len(futures) == 1:  # what serving sends: a gathering costs more than the rest
            await futures[0]
        else:
            await asyncio.gather(*futures)
        for published, count in Counter(event.type for event in events).items():
            EVENTS_PUBLISHED.labels(published).inc(count)

    def _ready(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the producer is not started")
        return self._producer
