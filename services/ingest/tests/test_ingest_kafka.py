"""Ingest as a process on a real Kafka, killed with -9 at random moments."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import polars as pl
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from headrace_events import Event, InvalidEvent, parse, topics
from headrace_events.catalogue import load
from headrace_events.inference import FeedbackGiven
from headrace_events.workload import Manifest, WorkloadApplied

pytestmark = pytest.mark.integration

ROWS = 3000


class Process:
    """`python -m headrace_ingest` with one database, one storage root and one instance name."""

    def __init__(self, kafka: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._log = (folder / "ingest.log").open("ab")
        self._environment = {
            **os.environ,
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
            "HEADRACE_DATABASE__URL": f"sqlite+aiosqlite:///{folder / 'ingest.db'}",
            "HEADRACE_STORAGE__ROOT": str(folder / "storage"),
            "HEADRACE_HTTP__PORT": str(self.port),
            "HEADRACE_INSTANCE": folder.name,
            "HEADRACE_CAPTURE__FLUSH_SECONDS": "0.5",
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "headrace_ingest",
            env=self._environment, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    async def kill(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def get(self, path: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
        ):
            return await answer.json()

    async def ready(self) -> None:
        for _ in range(600):
            with contextlib.suppress(aiohttp.ClientError):  # it does not listen yet
                if (await self.get("/readyz"))["ready"]:
                    return
            await asyncio.sleep(0.1)
        raise TimeoutError("ingest is not ready")


@asynccontextmanager
async def producer_of(kafka: str) -> AsyncIterator[Callable[[Event[Any]], Any]]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()

    async def publish(event: Event[Any], key: str | None = None) -> None:
        headers = [(name, value.encode()) for name, value in event.headers().items()]
        await producer.send_and_wait(
            event.topic, event.body(), key=(key or event.workload).encode(), headers=headers
        )

    try:
        yield publish
    finally:
        await producer.stop()


async def read_events(kafka: str, topic: str, workload: str) -> list[Event[Any]]:
    """Return what is on the topic for the workload now."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    found = []
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(p) < end for p, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    try:
                        event = load(parse(dict(record.headers), record.value))
                    except InvalidEvent:
                        continue  # the poison of another test on the same Kafka
                    if event and event.workload == workload:
                        found.append(event)
    finally:
        await consumer.stop()
    return found


async def wait_for_events(kafka: str, topic: str, workload: str, count: int) -> list[Event[Any]]:
    for _ in range(120):
        # The relay publishes again what it had not noted as published when it was killed.
        found = {event.id: event for event in await read_events(kafka, topic, workload)}
        if len(found) >= count:
            return list(found.values())
        await asyncio.sleep(0.5)
    raise TimeoutError(f"fewer than {count} events of {workload} on {topic}")


def applied(name: str, **spec: Any) -> Event[WorkloadApplied]:
    manifest = Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": name},
            "spec": spec,
        }
    )
    data = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
    return Event.new(data, source="test", workload=name)


async def test_killed_again_and_again_every_source_lands_once(kafka: str, tmp_path: Path) -> None:
    workload = "ingest-kill"
    sources: list[dict[str, Any]] = [{"type": "python_docs", "limit": ROWS}]
    for number in range(3):
        path = tmp_path / f"part{number}.csv"
        lines = [f"question {number}/{i},answer {i}" for i in range(ROWS)]
        path.write_text("\n".join(["prompt,completion", *lines]), encoding="utf-8")
        sources.append({"type": "file", "path": str(path)})
    sources.append({"type": "file", "path": str(tmp_path / "none.csv")})
    chance = random.Random(7)
    process = Process(kafka, tmp_path)
    async with producer_of(kafka) as publish:
        event = applied(workload, data={"sources": sources})
        await publish(event)
        await publish(event)
        try:
            for _ in range(3):
                await process.start()
                await process.ready()
                await asyncio.sleep(chance.uniform(0.0, 1.2))
                await process.kill()
            await process.start()
            await wait_for_events(kafka, topics.RECORDS, workload, 5)
            await process.ready()
            await asyncio.sleep(2)
        finally:
            await process.kill()
    events = await read_events(kafka, topics.RECORDS, workload)
    by_id = {event.id: event for event in events}
    landed = [e for e in by_id.values() if e.type == "records.landed.v1"]
    assert sorted((e.data.source, e.data.rows) for e in landed) == [
        ("file:part0.csv", ROWS), ("file:part1.csv", ROWS), ("file:part2.csv", ROWS),
        ("python_docs", ROWS),
    ]  # fmt: skip
    (rejected,) = [e for e in by_id.values() if e.type == "records.rejected.v1"]
    assert rejected.data.source == "file:none.csv"
    assert {e.causationid for e in by_id.values()} == {event.id}
    table = pl.scan_delta(str(tmp_path / "storage" / "raw" / workload)).collect()
    assert table.height == 4 * ROWS
    assert table["record_id"].n_unique() == 4 * ROWS


async def test_killed_under_traffic_every_request_is_captured_once(
    kafka: str, tmp_path: Path, outcome: Callable[..., Event[Any]]
) -> None:
    workload = "ingest-traffic"
    requests = 400
    process = Process(kafka, tmp_path)
    async with producer_of(kafka) as publish:
        await publish(applied(workload, data={"feedback_batch": 40}))
        await process.start()
        try:
            await process.ready()
            for number in range(requests):
                event = outcome(number, workload)
                await publish(event, key=event.data.request_id)
                if number % 10 == 0:
                    given = FeedbackGiven(request_id=f"r{number}", rating=1)
                    await publish(Event.new(given, source="test", workload=workload), f"r{number}")
                if number % 7 == 0:
                    await publish(event, key=event.data.request_id)
                if number in (130, 260):
                    await process.kill()
                    await process.start()
            (landed,) = await wait_for_events(kafka, topics.RECORDS, workload, 1)
            for _ in range(100):
                counts = (await process.get("/records"))["data"].get(workload, {})
                if counts.get("captured") == requests:
                    break
                await asyncio.sleep(0.2)
            await asyncio.sleep(3)
        finally:
            await process.kill()
    assert (landed.data.source, landed.data.rows) == ("traffic", 40)
    table = pl.scan_delta(str(tmp_path / "storage" / "traffic" / workload)).collect()
    assert table.height == table["request_id"].n_unique() == requests
    assert table["rating"].sum() == 40
    raw = pl.scan_delta(str(tmp_path / "storage" / "raw" / workload)).collect()
    assert sorted(raw["prompt"]) == sorted(f"Question {n}?" for n in range(0, requests, 10))
