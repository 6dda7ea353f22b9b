"""`headrace replay` on a real Kafka: into an empty database only, and what it says."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from headrace_events import new_id
from headrace_events.workload import Manifest
from headrace_stack import manifests
from headrace_stack.commands_replay import database_url


def test_the_database_is_a_file_or_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.delenv("HEADRACE_DATABASE__URL", raising=False)
    assert database_url("ingest", "/x/a.db") == "sqlite+aiosqlite:////x/a.db"
    assert database_url("ingest", "postgresql+asyncpg://h/d") == "postgresql+asyncpg://h/d"
    own = tmp_path / "services" / "ingest" / "service.db"
    assert database_url("ingest", None) == f"sqlite+aiosqlite:///{own}"


def replay(kafka: str, home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "headrace_stack", "replay", *arguments],
        env={
            **os.environ,
            "HEADRACE_HOME": str(home),
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
            "NO_COLOR": "1",
            "COLUMNS": "160",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.integration
def test_manifests_are_there_again(kafka: str, tmp_path: Path) -> None:
    name = f"w{new_id()[-12:]}"
    for owner in ("team-a", "team-b"):
        manifest = Manifest.model_validate(
            {
                "apiVersion": "headrace/v1",
                "kind": "Workload",
                "metadata": {"name": name, "owner": owner},
            }
        )
        asyncio.run(manifests.publish(kafka, manifest))
    into = tmp_path / "g.db"
    done = replay(
        kafka, tmp_path / "home", "--service", "guardrails", "--into", str(into), "--json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["events"] >= 2 and report["failed"] == [] and report["unpublished"] == 0
    with sqlite3.connect(into) as database:
        query = "SELECT manifest FROM kit_workloads WHERE name = ?"
        (found,) = database.execute(query, (name,)).fetchone()
    assert json.loads(found)["metadata"]["owner"] == "team-b"

    refused = replay(kafka, tmp_path / "home", "--service", "guardrails", "--into", str(into))
    assert refused.returncode == 1 and "not empty" in refused.stderr
    unknown = replay(kafka, tmp_path / "home", "--service", "guardrial")
    assert unknown.returncode == 1 and "guardrails" in unknown.stderr
