"""Consumer groups: how much each service has before it."""

import asyncio
from collections import defaultdict
from types import TracebackType
from typing import Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from headrace_events.topics import BY_NAME
from headrace_kafka import Consumer

PREFIX = "headrace."


def service_of(group: str) -> str:
    """The service that a consumer group belongs to."""
    return group.removeprefix(PREFIX).split(".", 1)[0]


class Groups:
    """Asks the broker for the lag of each group: records that are there and not yet committed."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def __aenter__(self) -> Self:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        self._consumer = Consumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
        await self._admin.start()
        await self._consumer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.sleep(0.05)  # aiokafka's stop() trips over a start() of the same moment
        await self._consumer.stop()
        await self._admin.close()

    async def lags(self, service: str | None = None) -> dict[str, int]:
        """The lag of each group, or of one service's groups."""
        found: dict[str, int] = {}
        for group, *_ in await self._admin.list_consumer_groups():
            if not group.startswith(PREFIX) or (service and service_of(group) != service):
                continue
            committed = await self._admin.list_consumer_group_offsets(group)
            found[group] = await self._behind({p: o.offset for p, o in committed.items()})
        return found

    async def _behind(self, committed: dict[TopicPartition, int]) -> int:
        # A partition of a consumed topic without a commit was not reached yet.
        topics = {partition.topic for partition in committed if partition.topic in BY_NAME}
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in range(BY_NAME[topic].partitions)
        ]
        if not partitions:
            return 0
        ends = await self._consumer.end_offsets(partitions)
        return sum(max(0, ends[p] - max(committed.get(p, 0), 0)) for p in partitions)

    async def by_service(self) -> dict[str, int]:
        """The lag of each service over all its groups."""
        found: dict[str, int] = defaultdict(int)
        for group, lag in (await self.lags()).items():
            found[service_of(group)] += lag
        return dict(found)
