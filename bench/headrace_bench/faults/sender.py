"""Sends events and remembers what the broker acknowledged."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from headrace_events import Event

_PAUSE_SECONDS = 0.5


class Sender:
    """A product that does not give up: each event is sent until it is acknowledged."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: AIOKafkaProducer | None = None
        self._renewal = asyncio.Lock()
        self.acknowledged: dict[str, list[str]] = defaultdict(list)
        """Event ids by type, in the order of acknowledgement."""
        self.sent_again = 0

    async def __aenter__(self) -> Self:
        await self._renew(None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._producer:
            await self._producer.stop()

    @property
    def events(self) -> int:
        """How many events were acknowledged."""
        return sum(map(len, self.acknowledged.values()))

    async def send(self, event: Event[Any], key: str = "") -> None:
        """Return when the broker has it."""
        headers = [(name, value.encode()) for name, value in event.headers().items()]
        name, body = (key or event.workload).encode(), event.body()
        while True:
            producer = self._producer
            assert producer is not None  # noqa: S101 - set by __aenter__
            try:
                await producer.send_and_wait(event.topic, body, name, headers=headers)
            except (KafkaError, OSError):
                self.sent_again += 1
                await asyncio.sleep(_PAUSE_SECONDS)
                await self._renew(producer)
                continue
            self.acknowledged[event.type].append(event.id)
            return

    async def send_all(self, events: Iterable[tuple[Event[Any], str]]) -> None:
        """Send (event, key) pairs side by side."""
        await asyncio.gather(*(self.send(event, key) for event, key in events))

    async def _renew(self, broken: AIOKafkaProducer | None) -> None:
        """A new producer in place of one that may have lost its sequence; once for all who ask."""
        async with self._renewal:
            if self._producer is not broken:
                return
            fresh = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True
            )
            try:
                await fresh.start()
            except (KafkaError, OSError):
                await fresh.stop()
                if broken is None:
                    raise
                return  # Kafka is away: the old one tries again
            self._producer = fresh
        if broken:
            asyncio.get_running_loop().create_task(_stop(broken))


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        await asyncio.wait_for(producer.stop(), 60)
    except (KafkaError, OSError, TimeoutError):
        return
