"""The log from its beginning: several topics merged by the time at which records were written.

Within a partition the order is Kafka's own. Between partitions it is that of the timestamps, which
is close to, and not always, the order in which a service took them in.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from headrace_events.topics import BY_NAME
from headrace_kafka import Consumer

_POLL_MS = 500
_AT_ONCE = 500


async def end_offsets(bootstrap: str, names: list[str]) -> dict[TopicPartition, int]:
    """Return where each partition of the topics ends now."""
    consumer = Consumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        partitions = [TopicPartition(n, p) for n in names for p in range(BY_NAME[n].partitions)]
        consumer.assign(partitions)
        return dict(await consumer.end_offsets(partitions))
    finally:
        # aiokafka's stop() fails when its tasks have not had a turn yet.
        await asyncio.sleep(0.05)
        await consumer.stop()


async def read_log(
    bootstrap: str, ends: Mapping[TopicPartition, int]
) -> AsyncIterator["ConsumerRecord[Any, Any]"]:
    """Return the records before `ends`, oldest first."""
    consumer = Consumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        consumer.assign(list(ends))
        await consumer.seek_to_beginning(*ends)
        waiting: dict[TopicPartition, deque[ConsumerRecord[Any, Any]]] = {p: deque() for p in ends}
        while True:
            hungry = [p for p in ends if not waiting[p] and await consumer.position(p) < ends[p]]
            if hungry:
                fetched = await consumer.getmany(*hungry, timeout_ms=_POLL_MS, max_records=_AT_ONCE)
                for partition, records in fetched.items():
                    waiting[partition].extend(r for r in records if r.offset < ends[partition])
                continue
            ready = [p for p in ends if waiting[p]]
            if not ready:
                return
            oldest = min(ready, key=lambda p: (waiting[p][0].timestamp, p.topic, p.partition))
            yield waiting[oldest].popleft()
    finally:
        await asyncio.sleep(0.05)
        await consumer.stop()
