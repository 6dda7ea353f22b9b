"""Our side: the real stack with the echo engine, asked over Kafka."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from headrace_bench.event_path.load import Ask
from headrace_events import Event, new_id
from headrace_events.inference import InferenceCompleted, InferenceRequested, Message
from headrace_events.topics import BY_NAME, INFERENCE_COMPLETED
from headrace_events.workload import Manifest, WorkloadApplied

PARTS = ("kafka", "guardrails", "serving", "ingest")
WORKLOADS: dict[str, dict[str, Any]] = {
    "bench-empty": {"guard": {"input": [], "output": []}},
    "bench-default": {},
}
_TYPE = ("ce_type", InferenceCompleted.TYPE.encode())


class Client:
    """A product: publishes requests, each sampled for tracing, and reads every outcome."""

    def __init__(self, bootstrap: str, text: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True
        )
        self._consumer = AIOKafkaConsumer(
            isolation_level="read_committed",  # as a product reads
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        self._messages = (Message(role="user", content=text),)
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self.rejected = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Client"]:
        """Connect; read outcomes from here on."""
        await self._producer.start()
        await self._consumer.start()
        partitions = [
            TopicPartition(INFERENCE_COMPLETED, number)
            for number in range(BY_NAME[INFERENCE_COMPLETED].partitions)
        ]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_end(*partitions)
        reading = asyncio.create_task(self._read())
        try:
            yield self
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await self._consumer.stop()
            await self._producer.stop()

    async def _read(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    waiting = self._waiting.pop(record.key, None)
                    if waiting is None or waiting.done():
                        continue
                    self.rejected += _TYPE not in record.headers
                    waiting.set_result(None)

    async def apply(self) -> None:
        """Publish the manifests."""
        for name, spec in WORKLOADS.items():
            document = {
                "apiVersion": "headrace/v1",
                "kind": "Workload",
                "metadata": {"name": name},
                "spec": spec,
            }
            manifest = Manifest.model_validate(document)
            data = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
            await self._send(Event[Any].new(data, source="bench", workload=name), name)

    def asking(self, workload: str) -> Ask:
        """Ask a workload."""

        async def ask(_number: int) -> None:
            request_id = new_id()
            data = InferenceRequested(request_id=request_id, messages=self._messages)
            event = Event[Any].new(
                data,
                source="bench",
                workload=workload,
                subject=request_id,
                traceparent=f"00-{os.urandom(16).hex()}-{secrets.token_hex(8)}-01",
            )
            answered = asyncio.get_running_loop().create_future()
            self._waiting[request_id.encode()] = answered
            await self._send(event, request_id)
            await answered

        return ask

    async def _send(self, event: Event[Any], key: str) -> None:
        headers = [(name, value.encode()) for name, value in event.headers().items()]
        await (await self._producer.send(event.topic, event.body(), key.encode(), headers=headers))
