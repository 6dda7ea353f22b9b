"""kill -9 of a real process on the real Kafka: nothing lost, no effect twice, order kept."""

import asyncio
import importlib.util
import os
import random
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from sqlalchemy import text

from headrace_events import Event, new_id, topics
from headrace_events.data import DatasetRejected, RecordsRejected
from headrace_kit import ServiceSettings
from headrace_kit.database import Database
from headrace_kit.replay import replay
from headrace_kit.settings import Database as DatabaseSettings
from headrace_kit.testing_replay import dump

pytestmark = pytest.mark.integration

EVENTS, KILLS = 300, 3


def _child() -> Any:
    """The module that the process runs; tests are no packages, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location(
        "kit_child", Path(__file__).with_name("kit_child.py")
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHILD = _child()


class Child:
    """The service as a process; the same instance name at each start, as a supervisor does it."""

    def __init__(self, kafka: str, url: str, workload: str, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._log = log
        self._environment = {
            **os.environ,
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
            "HEADRACE_DATABASE__URL": url,
            "HEADRACE_HTTP__PORT": str(port),
            "HEADRACE_INSTANCE": f"kill-{workload[-12:]}",
            "TEST_WORKLOAD": workload,
        }

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("kit_child.py"))],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


async def send(kafka: str, workload: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for number in range(EVENTS):
        event = Event.new(
            RecordsRejected(source="s", reason=str(number)), source="test", workload=workload
        )
        headers = [(k, v.encode()) for k, v in event.headers().items()]
        await producer.send(event.topic, event.body(), workload.encode(), headers=headers)
    await producer.stop()


async def outcomes(kafka: str, workload: str) -> list[tuple[str, int]]:
    reader = AIOKafkaConsumer(
        topics.DATASETS, bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    await reader.start()
    found: list[tuple[str, int]] = []
    ends = await reader.end_offsets(reader.assignment())
    while any([await reader.position(p) < end for p, end in ends.items()]):
        for batch in (await reader.getmany(timeout_ms=300)).values():
            for record in batch:
                headers = dict(record.headers)
                if headers.get("ce_workload") == workload.encode():
                    data = DatasetRejected.model_validate_json(record.value)
                    found.append((headers["ce_id"].decode(), int(data.reason)))
    await reader.stop()
    return found


async def effects(database: Database) -> tuple[list[int], int]:
    try:
        async with database.transaction() as session:
            done = await session.scalars(text("SELECT number FROM effects ORDER BY seq"))
            waiting = await session.scalar(text("SELECT count(*) FROM kit_outbox"))
            return list(done), waiting or 0
    except Exception:  # noqa: BLE001 - the child has not made its tables yet
        return [], 0


async def at_work(database: Database, beyond: int, empty: bool = False) -> None:
    """Wait until more than so many events are done (and nothing waits to be published)."""
    async with asyncio.timeout(120):
        for _ in iter(int, 1):
            done, waiting = await effects(database)
            if len(done) > min(beyond, EVENTS - 1) and not (empty and waiting):
                return
            await asyncio.sleep(0.02)


async def test_kill_9_loses_nothing_and_does_nothing_twice(
    kafka: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload, dice = new_id(), random.Random(11)
    database = Database(database_url)
    child = Child(kafka, database_url, workload, tmp_path / "child.log")
    await send(kafka, workload)
    child.start()
    try:
        killed_at = []
        for _ in range(KILLS):
            # At work again, then dead at any moment: in a handler, between publish and delete.
            await at_work(database, beyond=len((await effects(database))[0]))
            await asyncio.sleep(dice.random() * 0.3)
            child.kill()
            killed_at.append(len((await effects(database))[0]))
            child.start()
        await at_work(database, beyond=EVENTS - 1, empty=True)
    finally:
        child.kill()
    done, waiting = await effects(database)
    before = await dump(database, CHILD.Base.metadata)
    await database.close()
    assert killed_at[0] < EVENTS, "every kill came after the work: send more events"
    assert waiting == 0
    assert done == list(range(EVENTS)), "each event once, in order"
    # Until the reader's end: what a killed relay had sent and not deleted is there twice.
    seen = await outcomes(kafka, workload)
    ids: dict[str, int] = {}
    for event_id, number in seen:
        assert ids.setdefault(event_id, number) == number
    assert list(ids.values()) == list(range(EVENTS)), "each outcome, first seen in order"
    repeats = Counter(number for _, number in seen)
    assert len(repeats) == EVENTS

    # And all of it can be made again from the log.
    monkeypatch.setenv("TEST_WORKLOAD", workload)
    settings = ServiceSettings(
        database=DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path}/again.db")
    )
    report = await replay(CHILD.build(settings), kafka)
    assert (report.failed, report.unpublished, report.open_jobs) == ([], 0, 0)
    again = Database(settings.database.url)
    after = await dump(again, CHILD.Base.metadata)
    # In the order of `seq`, which has gaps on PostgreSQL where a transaction was killed.
    for found in (before, after):
        for row in found["effects"]:
            del row["seq"]
    assert after["effects"] == before["effects"]
    # Tests share the topics: the log has more than this process was ever given.
    known = [(row["source"], row["event_id"]) for row in after["kit_inbox"]]
    assert {(row["source"], row["event_id"]) for row in before["kit_inbox"]} <= set(known)
    await again.close()
