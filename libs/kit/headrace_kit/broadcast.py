"""Events that every replica must hear: read by each without a group, nothing is committed."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import ConsumerStoppedError, KafkaError

from headrace_events import Event, EventData, parse
from headrace_kafka import Consumer, give_up
from headrace_kit.metrics import EVENTS_HANDLED, NOTICES_PASSED_OVER

_LOG = structlog.get_logger(__name__)
_POLL_MS = 500
_RETRY_SECONDS = 1.0

Heard = Callable[[Event[Any]], None]


class Broadcast:
    """Reads topics from a while ago on, so that a replica which was away hears what it missed."""

    def __init__(
        self,
        models: Sequence[type[EventData]],
        heard: Heard,
        *,
        bootstrap_servers: str,
        client_id: str,
        since_seconds: float,
    ) -> None:
        self.models = {model.TYPE: model for model in models}
        self._heard = heard
        self._since_seconds = since_seconds
        self._options = {"bootstrap_servers": bootstrap_servers, "client_id": client_id}
        self._consumer: Any = None

    @property
    def topics(self) -> list[str]:
        """The topics that hold the types."""
        return sorted({name for model in self.models.values() for name in model.topics()})

    async def start(self) -> None:
        """Stand where the wanted time begins."""
        names = self.topics
        self._consumer = Consumer(*names, group_id=None, **self._options)
        await self._consumer.start()
        since = int((time.time() - self._since_seconds) * 1000)
        partitions = list(self._consumer.assignment())
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, since))
        ends = await self._consumer.end_offsets(partitions)
        for partition in partitions:
            start = found[partition].offset if found.get(partition) else ends[partition]
            self._consumer.seek(partition, start)

    async def stop(self) -> None:
        """Disconnect; `run` was cancelled."""
        consumer, self._consumer = self._consumer, None
        if consumer:
            await give_up(consumer)

    async def run(self) -> None:
        """Read for ever, from where `start` stands; begun anew, from a while ago on once more."""
        if self._consumer is None:
            await self.start()
        try:
            await self._read()
        finally:
            await self.stop()

    async def _read(self) -> None:
        while True:
            try:
                batches = await self._consumer.getmany(timeout_ms=_POLL_MS)
            except ConsumerStoppedError:
                raise
            except KafkaError as error:
                _LOG.warning("broadcast waits", error=type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for records in batches.values():
                for record in records:
                    self.take(record)

    def take(self, record: "ConsumerRecord[Any, Any]") -> None:
        """Hear one record."""
        # No dead letters: each replica would write one at each start. The record stays in its
        # topic, and a lost notice costs only work.
        try:
            raw = parse(dict(record.headers), record.value)
            if raw.type in self.models:
                self._heard(raw.load(self.models[raw.type], record.topic))
                EVENTS_HANDLED.labels(raw.type, "done").inc()
        except Exception as error:  # noqa: BLE001 - no notice may end the hearing of the others
            NOTICES_PASSED_OVER.labels(record.topic).inc()
            _LOG.warning("notice passed over", topic=record.topic, error=type(error).__name__)
