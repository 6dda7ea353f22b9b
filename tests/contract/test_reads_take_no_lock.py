"""A read of any service's HTTP API waits for no writer: all GET routes, with a transaction open."""

import asyncio
import importlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace_events import topics

SERVICES = topics.BY_NAME[topics.WORKLOADS].consumers
_SETTINGS: dict[str, dict[str, Any]] = {"serving": {"serving": {"engine": "echo"}}}
# They hold the answer open for as long as something may happen.
_STREAMS = ("/console/events", "/metrics-api/stream")
# SQLite's writers wait for 15 s for each other.
_ANSWER_SECONDS = 5


def _get_paths(api: Any) -> Iterator[str]:
    for path, methods in api.openapi()["paths"].items():
        if "get" in methods:
            yield path.replace("{number}", "1").replace("{version}", "1").replace("{n}", "1")


@pytest.mark.parametrize("name", SERVICES)
def test_every_get_answers_while_a_writer_is_at_work(name: str, tmp_path: Path) -> None:
    package = f"headrace_{name.replace('-', '_')}"
    settings = importlib.import_module(f"{package}.settings").Settings(
        database={"url": f"sqlite+aiosqlite:///{tmp_path}/service.db"},
        storage={"root": str(tmp_path / "storage")},
        **_SETTINGS.get(name, {}),
    )
    service = importlib.import_module(f"{package}.app").build(settings)
    asyncio.run(_make_tables(service))
    writer = sqlite3.connect(tmp_path / "service.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    slow, asked = [], 0
    client = TestClient(service.api, raise_server_exceptions=False)
    for path in _get_paths(service.api):
        if path.startswith(_STREAMS):
            continue
        began = time.monotonic()
        answer = client.get(path.replace("{", "").replace("}", ""))
        if time.monotonic() - began > _ANSWER_SECONDS:
            slow.append(path)
        assert answer.status_code < 500 or path == "/readyz", (path, answer.text)
        asked += 1
    writer.close()
    assert slow == [], "these wait for the writer"
    assert asked >= 4


async def _make_tables(service: Any) -> None:
    await service.database.create()
    await service.database.close()
