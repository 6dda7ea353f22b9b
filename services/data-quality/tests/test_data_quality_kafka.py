"""Data-quality as a process on a real Kafka, killed with -9 at random moments."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from deltalake import DeltaTable

from headrace_data_quality.app import build
from headrace_data_quality.settings import Settings
from headrace_events import Event, EventData, parse, topics
from headrace_events.catalogue import load
from headrace_events.data import RecordsLanded
from headrace_events.workload import Manifest, WorkloadApplied

pytestmark = pytest.mark.integration

WORDS = (
    "card transfer cash limit fee loan interest branch account statement deposit exchange refund "
    "mortgage cheque terminal invoice salary pension insurance"
)


def manifest(name: str) -> WorkloadApplied:
    found = Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": name},
            "spec": {"data": {"min_rows": 50, "dedup": {"near": 1.0}}},
        }
    )
    return WorkloadApplied(revision=found.revision(), manifest=found)


class Topic:
    """Publishes events, and reads what is on the topic of datasets."""

    def __init__(self, kafka: str, producer: AIOKafkaProducer) -> None:
        self._kafka = kafka
        self._producer = producer

    async def publish(self, data: EventData, workload: str) -> None:
        event: Event[Any] = Event.new(data, source="test", workload=workload)
        headers = [(name, value.encode()) for name, value in event.headers().items()]
        await self._producer.send_and_wait(
            event.topic, event.body(), key=workload.encode(), headers=headers
        )

    async def outcomes(self, workload: str) -> list[Event[Any]]:
        """Return the events of the workload, each once."""
        consumer = AIOKafkaConsumer(
            topics.DATASETS, bootstrap_servers=self._kafka, auto_offset_reset="earliest"
        )
        await consumer.start()
        found: dict[str, Event[Any]] = {}
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            while any([await consumer.position(p) < end for p, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        event = load(parse(dict(record.headers), record.value))
                        if event and event.workload == workload:
                            found[event.id] = event
        finally:
            await consumer.stop()
        return list(found.values())

    async def wait(self, workload: str, batches: int) -> list[Event[Any]]:
        """Wait until so many batches are in dataset versions."""
        for _ in range(240):
            found = await self.outcomes(workload)
            if sum(len(event.data.batches) for event in found) >= batches:
                return found
            await asyncio.sleep(0.5)
        raise TimeoutError(f"fewer than {batches} batches of {workload} were curated")


@asynccontextmanager
async def topic_of(kafka: str) -> AsyncIterator[Topic]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        yield Topic(kafka, producer)
    finally:
        await producer.stop()


def rows(number: int, count: int) -> list[tuple[str, ...]]:
    words = WORDS.split()
    return [
        (f"Question {number}-{i} about my {words[i % len(words)]}?", f"Answer {number}-{i}.")
        for i in range(count)
    ]


async def test_records_to_dataset_on_kafka(
    kafka: str, settings_for: Any, tmp_path: Path, land_batch: Any
) -> None:
    workload = "dq-once"
    service = build(settings_for(Settings, settle_seconds=0.2, instance="dq-once"))
    landed: RecordsLanded = land_batch(tmp_path / "storage", workload, "b1", rows(1, 200))
    async with service.running(), topic_of(kafka) as topic:
        # The records may come before the manifest: they are on different topics.
        await topic.publish(landed, workload)
        await topic.publish(manifest(workload), workload)
        (event,) = await topic.wait(workload, 1)
    assert event.type == "dataset.curated.v1"
    assert event.data.dataset.train_rows + event.data.dataset.holdout_rows == 200
    assert event.data.batches == ("b1",)


async def test_killed_again_and_again_each_batch_is_curated_once(
    kafka: str, tmp_path: Path, land_batch: Any
) -> None:
    workload = "dq-kill"
    environment = {
        **os.environ,
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path / 'dq.db'}",
        "HEADRACE_STORAGE__ROOT": str(tmp_path / "storage"),
        "HEADRACE_HTTP__PORT": "0",
        "HEADRACE_INSTANCE": "dq-kill",
        "HEADRACE_SETTLE_SECONDS": "0.1",
    }
    chance = random.Random(3)
    log = (tmp_path / "dq.log").open("ab")

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "headrace_data_quality",
            env=environment,
            stdout=log,
            stderr=log,
        )

    process = await start()
    async with topic_of(kafka) as topic:
        try:
            await topic.publish(manifest(workload), workload)
            for number in range(4):
                landed = land_batch(
                    tmp_path / "storage", workload, f"b{number}", rows(number, 1500)
                )
                await topic.publish(landed, workload)
                await topic.publish(landed, workload)
                if number < 3:
                    await asyncio.sleep(chance.uniform(2.0, 7.0))
                    process.send_signal(signal.SIGKILL)
                    await process.wait()
                    process = await start()
            events = await topic.wait(workload, 4)
            await asyncio.sleep(2)
            events = await topic.outcomes(workload)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                await process.wait()
    assert {event.type for event in events} == {"dataset.curated.v1"}
    batches = [batch for event in events for batch in event.data.batches]
    assert sorted(batches) == ["b0", "b1", "b2", "b3"]
    versions = sorted(event.data.dataset.version for event in events)
    assert versions == list(range(1, len(events) + 1))
    newest = max(events, key=lambda event: event.data.dataset.version).data.dataset
    assert newest.train_rows + newest.holdout_rows == 6000
    table = DeltaTable(str(tmp_path / "storage" / "datasets" / workload))
    assert table.version() == len(events) - 1, "a version is one commit"
    frame = pl.scan_delta(table).collect()
    assert frame.height == frame["record_id"].n_unique() == 6000
