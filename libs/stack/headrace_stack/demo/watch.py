"""Reads every control event of one workload as it comes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import TopicPartition

from headrace_events import Event, InvalidEvent, parse, topics
from headrace_events.catalogue import load
from headrace_kafka import Consumer

_CONTROL = (
    topics.WORKLOADS,
    topics.RECORDS,
    topics.DATASETS,
    topics.TRAINING,
    topics.MODELS,
    topics.EVALUATIONS,
    topics.ROLLOUTS,
    topics.JUDGEMENTS,
    topics.ALERTS,
)


class Watch:
    """`async with Watch(kafka, workload) as watch: async for event in watch`: from now on."""

    def __init__(self, bootstrap_servers: str, workload: str) -> None:
        self._workload = workload
        self._reader = Consumer(bootstrap_servers=bootstrap_servers, fetch_max_wait_ms=100)

    async def __aenter__(self) -> "Watch":
        """Stand at the end of every topic."""
        await self._reader.start()
        partitions = [
            TopicPartition(name, partition)
            for name in _CONTROL
            for partition in range(topics.BY_NAME[name].partitions)
        ]
        self._reader.assign(partitions)
        await self._reader.seek_to_end(*partitions)
        for partition in partitions:
            # Resolves the seek now: what is published after this line is not missed.
            await self._reader.position(partition)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading."""
        await self._reader.stop()

    async def __aiter__(self) -> AsyncIterator[Event[Any]]:
        """Yield the events of the workload; those of one cause may come in any order of topics."""
        while True:
            batches = await self._reader.getmany(timeout_ms=200)
            events = [self._event(record) for batch in batches.values() for record in batch]
            mine = [e for e in events if e is not None and e.workload == self._workload]
            for event in sorted(mine, key=lambda e: e.time):
                yield event
            await asyncio.sleep(0)

    @staticmethod
    def _event(record: Any) -> Event[Any] | None:
        try:
            return load(parse(dict(record.headers), record.value))
        except InvalidEvent:
            return None  # the services dead-letter it; the demo only looks on
