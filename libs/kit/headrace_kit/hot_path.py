"""The hot path of a service: its streams in two lanes, and notices that every replica hears."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from headrace_events import EventData
from headrace_kit.broadcast import Broadcast, Heard
from headrace_kit.dead_letters import DeadLetters
from headrace_kit.retries import RetryPolicy
from headrace_kit.settings import Kafka
from headrace_kit.stream import PublishAll, Stream, StreamHandler
from headrace_kit.stream_consumer import StreamConsumer

Guard = Callable[[Callable[[Any], Awaitable[None]]], Callable[[Any], Awaitable[None]]]


class HotPath:
    """Starts, drains and stops all consumers that need no database."""

    def __init__(
        self,
        group: str,
        instance: str,
        settings: Kafka,
        *,
        publish: PublishAll,
        dead_letters: DeadLetters,
        guard: Guard,
        policy: RetryPolicy,
    ) -> None:
        self._group = group
        self._instance = instance
        self._settings = settings
        self._publish = publish
        self._dead_letters = dead_letters
        self._guard = guard
        self._policy = policy
        self._lanes: list[StreamConsumer] = []
        self._broadcasts: list[Broadcast] = []
        self.models: dict[str, type[EventData]] = {}
        self.stateful: list[Stream] = []
        """Those whose events a replay hands over again."""

    def stream(
        self,
        name: str,
        models: Sequence[type[EventData]],
        handler: StreamHandler,
        *,
        max_records: int,
        in_flight: int | None,
        keeps_state: bool,
    ) -> None:
        """Add a stream: one consumer, and a second one if some of its types have a fast lane."""
        stream = self._lane(
            name,
            models,
            handler,
            fast=False,
            max_records=max_records,
            in_flight=in_flight,
            replay_records=max_records if keeps_state else 0,
        )
        if keeps_state:
            self.stateful.append(stream)
        if any(model.FAST_TOPIC for model in models):
            fast = f"{name}-priority"
            self._lane(
                fast, models, handler, fast=True, max_records=max_records, in_flight=in_flight
            )
        self.models |= {model.TYPE: model for model in models}

    def broadcast(
        self, models: Sequence[type[EventData]], heard: Heard, *, since_seconds: float
    ) -> None:
        """Add notices that every replica hears."""
        broadcast = Broadcast(
            models,
            heard,
            bootstrap_servers=self._settings.bootstrap_servers,
            client_id=self._instance,
            since_seconds=since_seconds,
        )
        self._broadcasts.append(broadcast)
        self.models |= broadcast.models

    async def start(self) -> None:
        """Begin to read."""
        for broadcast in self._broadcasts:
            await broadcast.start()
        await asyncio.gather(*(lane.start() for lane in self._lanes))

    async def drain(self) -> None:
        """Take nothing new; return when what is under way is done, or the time is over."""
        await asyncio.gather(*(lane.drain() for lane in self._lanes))

    async def stop(self) -> None:
        """Drain, commit, disconnect."""
        await asyncio.gather(*(lane.stop() for lane in self._lanes), return_exceptions=True)
        for broadcast in self._broadcasts:
            await broadcast.stop()

    def _lane(
        self,
        name: str,
        models: Sequence[type[EventData]],
        handler: StreamHandler,
        *,
        fast: bool,
        max_records: int,
        in_flight: int | None,
        replay_records: int = 0,
    ) -> Stream:
        stream = Stream(
            name,
            models,
            handler,
            publish=self._publish,
            dead_letters=self._dead_letters,
            group=f"{self._group}.{name}",
            policy=self._policy,
            replay_records=replay_records,
        )
        consumer = StreamConsumer(
            stream.fast_topics if fast else stream.topics,
            self._guard(stream.consume),
            group=stream.group,
            instance=self._instance,
            settings=self._settings,
            max_records=max_records,
            in_flight=in_flight,
        )
        self._lanes.append(consumer)
        return stream
