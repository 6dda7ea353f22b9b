"""The hot path of a service: its streams in two lanes, and notices that every replica hears."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from headrace_events import EventData
from headrace_kit.background import Background
from headrace_kit.broadcast import Broadcast, Heard
from headrace_kit.dead_letters import DeadLetters
from headrace_kit.held import Lane
from headrace_kit.retries import RetryPolicy
from headrace_kit.settings import Kafka
from headrace_kit.stream import PublishAll, Refuse, Stream, StreamHandler
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
        policy: RetryPolicy,
        guard: Guard,
        background: Background,
    ) -> None:
        self._group = group
        self._instance = instance
        self._settings = settings
        self._publish = publish
        self._dead_letters = dead_letters
        self._policy = policy
        self._guard = guard
        self._background = background
        self.streams: list[Stream] = []
        self.broadcasts: list[Broadcast] = []
        self._lanes: list[StreamConsumer] = []
        self.models: dict[str, type[EventData]] = {}

    def stream(
        self,
        name: str,
        models: Sequence[type[EventData]],
        handler: StreamHandler,
        *,
        max_records: int,
        in_flight: int | None,
        gather_bytes: int,
        replay_records: int,
        refuse: Refuse | None = None,
    ) -> None:
        """Add a stream: one consumer, and a second one if some of its types have a fast lane."""
        fast_lane = any(model.FAST_TOPIC for model in models)
        for fast in (False, True) if fast_lane else (False,):
            lane = f"{name}-priority" if fast else name
            stream = Stream(
                lane,
                models,
                handler,
                publish=self._publish,
                dead_letters=self._dead_letters,
                group=f"{self._group}.{lane}",
                policy=self._policy,
                fast=fast,
                replay_records=replay_records,
                refuse=refuse,
            )
            consumer = StreamConsumer(
                stream.topics,
                self._guard(stream.consume),
                group=stream.group,
                instance=self._instance,
                settings=self._settings,
                max_records=max_records,
                in_flight=in_flight,
                gather_bytes=gather_bytes,
                background=self._background,
            )
            self.streams.append(stream)
            self._lanes.append(consumer)
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
        self.broadcasts.append(broadcast)
        self.models |= broadcast.models

    @property
    def lanes(self) -> list[Lane]:
        """How each consumer gets on."""
        return [consumer.lane for consumer in self._lanes]

    async def start(self) -> None:
        """Begin to read."""
        for broadcast in self.broadcasts:
            await broadcast.start()
        await asyncio.gather(*(lane.start() for lane in self._lanes))

    async def drain(self) -> None:
        """Take nothing new; return when what is under way is done, or the time is over."""
        await asyncio.gather(*(lane.drain() for lane in self._lanes))

    async def stop(self) -> None:
        """Drain, commit and disconnect the streams."""
        await asyncio.gather(*(lane.stop() for lane in self._lanes), return_exceptions=True)

    async def stop_hearing(self) -> None:
        """Disconnect the broadcasts, whose reading was cancelled."""
        for broadcast in self.broadcasts:
            await broadcast.stop()
