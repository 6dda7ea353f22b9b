"""Two replicas with the default settings are two; two with one declared name are not."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from headrace_kit import Service, ServiceSettings
from headrace_kit import instance as instance_module
from headrace_kit.database import Database
from headrace_kit.instance import DeclaredName, InstanceTaken
from headrace_kit.leases import new_owner
from headrace_kit.stream_consumer import membership


@pytest.fixture
async def database(database_url: str):
    found = Database(database_url)
    await found.create()
    yield found
    await found.close()


def test_a_replica_without_a_declared_name_is_unique_and_no_static_member() -> None:
    one, other = (Service("data-quality", ServiceSettings()) for _ in range(2))
    assert one.instance != other.instance
    assert membership(one._kafka, one.instance)["group_instance_id"] is None
    declared = Service("data-quality", ServiceSettings(instance="data-quality-0"))
    found = membership(declared._kafka, declared.instance)
    assert found["group_instance_id"] == "data-quality-0"


def name(database: Database, lost: list[int] | None = None) -> DeclaredName:
    return DeclaredName("ingest-0", new_owner("ingest-0"), database, lambda: (lost or []).append(1))


async def test_a_second_process_of_one_name_is_refused_and_the_first_goes_on(
    database, monkeypatch
) -> None:
    monkeypatch.setattr(instance_module, "_LEASE", timedelta(seconds=0.6))
    monkeypatch.setattr(instance_module, "_PATIENCE_SECONDS", 1.5)
    first, second = name(database), name(database)
    await first.take()
    keeping = asyncio.create_task(first.keep())
    with pytest.raises(InstanceTaken, match="ingest-0"):
        await second.take()
    assert first.held
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await first.release()
    await second.take()


async def test_a_process_that_was_away_for_too_long_stops_when_its_name_is_taken(
    database, monkeypatch
) -> None:
    monkeypatch.setattr(instance_module, "_LEASE", timedelta(seconds=0.6))
    lost: list[int] = []
    first = DeclaredName("ingest-0", new_owner("ingest-0"), database, lambda: lost.append(1))
    await first.take()
    await asyncio.sleep(0.8)  # it stood still, as with SIGSTOP
    second = name(database)
    await second.take()
    tasks = [asyncio.create_task(one.keep()) for one in (first, second)]
    async with asyncio.timeout(5):
        while not lost:  # noqa: ASYNC110 - it asks a real task
            await asyncio.sleep(0.02)
    assert (first.held, second.held, lost) == (False, True, [1])
    for task in tasks:
        task.cancel()


@pytest.mark.integration
async def test_of_two_processes_with_one_declared_name_one_runs(kafka: str, tmp_path: Path) -> None:
    def start(log: str) -> "subprocess.Popen[bytes]":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {
            **os.environ,
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
            "HEADRACE_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path}/kit.db",
            "HEADRACE_HTTP__PORT": str(port),
            "HEADRACE_INSTANCE": f"twice-{tmp_path.name[-20:]}",
            "TEST_WORKLOAD": "w",
        }
        with (tmp_path / log).open("wb") as output:
            return subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("kit_child.py"))],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    async def logged(log: str, words: str) -> None:
        async with asyncio.timeout(60):
            while words not in (tmp_path / log).read_text():  # noqa: ASYNC110 - a process writes it
                await asyncio.sleep(0.1)

    first = start("first.log")
    try:
        await logged("first.log", '"ready"')
        second = start("second.log")
        await logged("second.log", "the instance's name is taken")
        assert await asyncio.to_thread(second.wait, 30) != 0
        assert first.poll() is None
        # Killed, it is replaced at once: the same machine sees that it is gone.
        first.send_signal(signal.SIGKILL)
        first.wait()
        third = start("third.log")
        await logged("third.log", '"ready"')
        assert "waits for the instance's name" not in (tmp_path / "third.log").read_text()
        third.kill()
        third.wait()
    finally:
        first.kill()
        first.wait()
