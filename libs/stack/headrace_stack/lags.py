"""How far behind consumers are. Kafka owns it, so Kafka is asked, not a service."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from headrace_events.topics import dlq
from headrace_kafka import Consumer, give_up
from headrace_stack.errors import StackError
from headrace_stack.services import BY_NAME

OURS = "headrace."
_RECORD_MS = 1_000
_REQUEST_MS = 5_000


@dataclass(frozen=True, slots=True)
class Lag:
    """One consumer group on one topic."""

    service: str
    """The service; of a stranger's group its own name."""
    group: str
    topic: str
    lag: int
    """Records that wait, over all partitions."""
    partitions: int
    members: int
    oldest_seconds: float | None
    """Age of the oldest record that waits; None: none does, or it is not known."""

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@contextlib.asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_REQUEST_MS)
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        raise StackError(
            f"Kafka at {bootstrap} does not answer ({type(error).__name__}). "
            "`headrace status` shows whether it runs."
        ) from error
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def _reader(bootstrap: str) -> AsyncIterator[Consumer]:
    consumer = Consumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        await consumer.start()
        yield consumer
    finally:
        await give_up(consumer)


async def lags(bootstrap: str, *, ages: bool = True) -> list[Lag]:
    """Return each group's lag by topic, the largest first; raises StackError.

    `ages` costs a read of one record for each partition that waits.
    """
    async with _admin(bootstrap) as admin, _reader(bootstrap) as reader:
        groups = sorted(name for name, _ in await admin.list_consumer_groups())
        offsets = await asyncio.gather(*(admin.list_consumer_group_offsets(g) for g in groups))
        members = await _members(admin, groups)
        committed = {
            (group, partition): found.offset
            for group, places in zip(groups, offsets, strict=True)
            for partition, found in places.items()
            if found.offset >= 0
        }
        partitions = {partition for _, partition in committed}
        ends = await reader.end_offsets(list(partitions)) if partitions else {}
        waiting = {
            place: ends.get(place[1], offset) - offset for place, offset in committed.items()
        }
        oldest = await _oldest(reader, committed, waiting) if ages else {}
    return _rows(waiting, members, oldest)


def _rows(
    waiting: dict[tuple[str, TopicPartition], int],
    members: dict[str, int],
    oldest: dict[tuple[str, TopicPartition], float],
) -> list[Lag]:
    by_topic: dict[tuple[str, str], list[tuple[str, TopicPartition]]] = defaultdict(list)
    for group, partition in waiting:
        by_topic[group, partition.topic].append((group, partition))
    rows = [
        Lag(
            service=service_of(group),
            group=group,
            topic=topic,
            lag=sum(max(waiting[place], 0) for place in places),
            partitions=len(places),
            members=members.get(group, 0),
            oldest_seconds=max((oldest[p] for p in places if p in oldest), default=None),
        )
        for (group, topic), places in by_topic.items()
    ]
    return sorted(rows, key=lambda row: (-row.lag, row.group, row.topic))


def service_of(group: str) -> str:
    """Return whose group it is: `headrace.serving.fast` is serving's."""
    name = group.removeprefix(OURS).split(".")[0] if group.startswith(OURS) else group
    return name if name in BY_NAME else group


async def _members(admin: AIOKafkaAdminClient, groups: list[str]) -> dict[str, int]:
    if not groups:
        return {}
    found = {}
    for response in await admin.describe_consumer_groups(groups):
        for group in response.to_object()["groups"]:
            found[group["group"]] = len(group["members"])
    return found


async def _oldest(
    reader: Consumer,
    committed: dict[tuple[str, TopicPartition], int],
    waiting: dict[tuple[str, TopicPartition], int],
) -> dict[tuple[str, TopicPartition], float]:
    """Return the age in seconds of the first record that waits, where it can be read."""
    found = {}
    now = time.time()
    # Two groups may wait in one partition at different places: so one after the other.
    for place, behind in waiting.items():
        if behind <= 0:
            continue
        _, partition = place
        reader.assign([partition])
        reader.seek(partition, committed[place])
        batches = await reader.getmany(timeout_ms=_RECORD_MS, max_records=1)
        for record in (record for batch in batches.values() for record in batch):
            found[place] = round(max(now - record.timestamp / 1000, 0.0), 1)
    return found


async def dead_letter_counts(bootstrap: str, services: Iterable[str]) -> dict[str, int]:
    """Return how many dead letters lie in each service's topic; none: not named."""
    by_topic = {dlq(name): name for name in services}
    try:
        async with _reader(bootstrap) as reader:
            partitions = [
                TopicPartition(topic, number)
                for topic in by_topic
                for number in (reader.partitions_for_topic(topic) or {0})
            ]
            begins = await reader.beginning_offsets(partitions)
            ends = await reader.end_offsets(partitions)
    except (KafkaError, OSError) as error:
        raise StackError(
            f"Kafka at {bootstrap} does not answer ({type(error).__name__})."
        ) from error
    counts: dict[str, int] = defaultdict(int)
    for partition in partitions:
        counts[by_topic[partition.topic]] += ends[partition] - begins[partition]
    return {name: count for name, count in counts.items() if count}
