"""Publishing: one idempotent producer per service; done means the broker has it (acks=all)."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from opentelemetry.trace import SpanKind

from headrace_events import Event
from headrace_kit import telemetry
from headrace_kit.metrics import EVENTS_PUBLISHED


class Producer:
    """Sends events and raw records in order; sends overlap, acknowledgements are awaited."""

    def __init__(self, bootstrap_servers: str, client_id: str, max_record_bytes: int) -> None:
        self._options: dict[str, Any] = {
            "bootstrap_servers": bootstrap_servers,
            "client_id": client_id,
            "acks": "all",
            "enable_idempotence": True,
            "max_request_size": max_record_bytes,
            "linger_ms": 0,
        }
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(**self._options)
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is under way and disconnect."""
        if self._producer:
            await self._producer.stop()

    async def send(
        self, topic: str, key: bytes, body: bytes, headers: dict[str, str]
    ) -> "asyncio.Future[object]":
        """Hand over one record; the future is done when the broker has acknowledged it."""
        encoded = [(name, value.encode()) for name, value in headers.items()]
        return await self._ready().send(topic, body, key, headers=encoded)  # type: ignore[no-any-return] # aiokafka has no types

    async def send_raw(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> object:
        """Send a record as it is and await the broker."""
        return await self._ready().send_and_wait(topic, value, key, headers=list(headers))

    async def publish(self, events: Sequence[Event[Any]], key: str | None = None) -> None:
        """Publish events and await the broker for all of them.

        The key is `key`, or the event's subject (inference: the request id). Each event gets a
        PRODUCER span, so that the consumer's span hangs below it.
        """
        futures = []
        for event in events:
            attributes = {
                telemetry.SYSTEM: "kafka",
                telemetry.OPERATION: "send",
                telemetry.OPERATION_TYPE: "send",
                telemetry.DESTINATION: event.topic,
                telemetry.EVENT_ID: event.id,
                telemetry.EVENT_TYPE: event.type,
                telemetry.WORKLOAD: event.workload,
            }
            with telemetry.span(
                f"send {event.topic}",
                kind=SpanKind.PRODUCER,
                parent=telemetry.context_of(event.traceparent, event.tracestate),
                attributes=attributes,
            ) as opened:
                traceparent = telemetry.traceparent_of(opened) or event.traceparent
                sent = event.model_copy(update={"traceparent": traceparent})
                name = (key or event.subject or event.workload).encode()
                futures.append(await self.send(event.topic, name, event.body(), sent.headers()))
        await asyncio.gather(*futures)
        for event in events:
            EVENTS_PUBLISHED.labels(event.type).inc()

    def _ready(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the producer is not started")
        return self._producer
