"""The registry on a real Kafka and MLflow's own store, from training to rollback; kill -9."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from headrace_events import Event, EventData, parse, topics
from headrace_events.catalogue import load
from headrace_events.data import DatasetCurated
from headrace_events.evaluation import EvaluationCompleted
from headrace_events.models import ModelRegistered
from headrace_events.rollout import RollbackRequested
from headrace_events.training import TrainingCompleted
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Service
from headrace_registry.app import build
from headrace_registry.settings import Settings

pytestmark = pytest.mark.integration
Trained = Callable[..., TrainingCompleted]


def manifest(name: str) -> WorkloadApplied:
    gates = [{"metric": "rouge_l", "margin": 0.0}, {"metric": "perplexity", "margin": -0.1}]
    found = Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": name},
            "spec": {"base": "smol", "evaluate": {"gates": gates}},
        }
    )
    return WorkloadApplied(revision=found.revision(), manifest=found)


async def on_topic(kafka: str, topic: str, workload: str) -> list[Event[Any]]:
    """Read a workload's events on a topic, each id once: delivery is at least once."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    found: dict[str, Event[Any]] = {}
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    event = load(parse(dict(record.headers), record.value))
                    if event and event.workload == workload:
                        found.setdefault(event.id, event)
    finally:
        await consumer.stop()
    return list(found.values())


async def until(
    kafka: str, workload: str, kinds: list[str], topic: str = topics.MODELS
) -> list[Event[Any]]:
    """Wait for exactly these event types, in this order."""
    found: list[Event[Any]] = []
    for _ in range(240):
        found = await on_topic(kafka, topic, workload)
        if len(found) >= len(kinds):
            break
        await asyncio.sleep(0.25)
    assert [event.type.removesuffix(".v1") for event in found] == kinds
    return found


class Loop:
    """Plays trainer, evaluator and serving for one workload."""

    def __init__(self, service: Service, workload: str, make: SimpleNamespace) -> None:
        self._service = service
        self.workload = workload
        self._make = make

    async def send(self, data: EventData) -> Event[Any]:
        event: Event[Any] = Event.new(data, source="test", workload=self.workload)
        await self._service.publish(event)
        return event

    def evaluated(self, registered: ModelRegistered, **changes: object) -> EvaluationCompleted:
        fields = {
            "evaluation_id": f"e-{registered.model.version}",
            "model": registered.model,
            "incumbent": registered.incumbent,
            "dataset": registered.dataset,
            "metrics": (),
            "gates": self._make.results(),
            "passed": True,
            "seconds": 1.0,
        }
        return EvaluationCompleted.model_validate({**fields, **changes})


async def test_from_training_to_rollback(
    kafka: str,
    settings_for: Callable[..., Any],
    tmp_path: Path,
    trained: Trained,
    make: SimpleNamespace,
) -> None:
    name = "registry-life"
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    service = build(settings_for(Settings, mlflow={"url": url}))
    async with service.running():
        loop = Loop(service, name, make)
        await loop.send(manifest(name))
        await loop.send(
            DatasetCurated(
                dataset=make.dataset(), batches=("b-1",), sources=("file:a",), rejects={"empty": 2}
            )
        )
        event = await loop.send(trained("life-1"))
        await service.publish(event)  # delivered twice
        (registered,) = await until(kafka, name, ["model.registered"])
        assert registered.causationid == event.id
        first = registered.data
        assert first.model.version == "1"
        assert first.incumbent.version == "base"

        await loop.send(loop.evaluated(first))
        await until(kafka, name, ["model.registered", "model.approved"])
        # Out of order: evaluated again while its canary runs. Refused, nothing happens.
        late = await loop.send(loop.evaluated(first, passed=False))
        await loop.send(make.finished(SimpleNamespace(version="1", ref=first.model)))
        life = ["model.registered", "model.approved", "model.promoted"]
        await until(kafka, name, life)

        await loop.send(trained("life-2"))
        life += ["model.registered"]
        second = (await until(kafka, name, life))[-1].data
        assert second.incumbent == first.model
        shut = make.results(passed=False, bound=-0.25)
        await loop.send(loop.evaluated(second, gates=shut, passed=False))
        life += ["model.rejected"]
        rejected = (await until(kafka, name, life))[-1].data
        assert "rouge_l" in rejected.reason
        assert "-0.2500" in rejected.reason

        await loop.send(RollbackRequested(reason="complaints"))
        life += ["model.rolled_back"]
        rolled_back = (await until(kafka, name, life))[-1].data
        assert rolled_back.restored.version == "base"

        broken = trained("life-3")
        weights = tmp_path / "life-3" / "adapter" / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"!")
        await loop.send(broken)
        life += ["model.rejected"]
        refused = (await until(kafka, name, life))[-1].data
        assert refused.model.version == "unregistered"
        assert "digest" in refused.reason
        alerts = await until(kafka, name, ["alert.raised"], topics.ALERTS)
        assert alerts[0].data.severity == "critical"

        await mirrored(url, name, {})
        await check_http(service, name, late.id)


async def mirrored(url: str, name: str, aliases: dict[str, str]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(url, url)
    found: dict[str, str] = {}
    for _ in range(60):
        shown = await asyncio.to_thread(client.get_registered_model, name)
        found = {alias: str(version) for alias, version in shown.aliases.items()}
        states = {
            str(v.version): v.tags.get("headrace.state")
            for v in client.search_model_versions(f"name = '{name}'")
        }
        if found == aliases and states == {"1": "rolled_back", "2": "rejected"}:
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"MLflow shows {found}, {states}")


async def check_http(service: Service, name: str, refused_event: str) -> None:
    # Without the lifespan: the service runs already, in this loop.
    transport = httpx2.ASGITransport(app=service.api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://registry") as http:
        models = (await http.get("/models")).json()["data"]
        (model,) = [m for m in models if m["name"] == name]
        assert model["production"] == "base"
        assert [v["state"] for v in model["versions"]] == ["rolled_back", "rejected"]
        one = (await http.get(f"/models/{name}/versions/1")).json()
        assert one["evaluation"]["passed"] is True
        assert (await http.get(f"/models/{name}/versions/9")).status_code == 404
        lineage = (await http.get(f"/lineage/{name}/1")).json()
        assert lineage["sources"] == ["file:a"]
        assert lineage["batches"] == ["b-1"]
        kinds = [event["type"] for event in lineage["events"]]
        assert kinds[:2] == ["training.completed.v1", "model.registered.v1"]
        assert kinds[-1] == "model.rolled_back.v1"
        (refused,) = [event for event in lineage["events"] if event["refused"]]
        assert refused["id"] == refused_event


def versions_in(database: Path) -> int:
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            return int(connection.execute("select count(*) from model_versions").fetchone()[0])
    except sqlite3.OperationalError:  # MLflow has not made its tables yet
        return 0


async def test_killed_right_after_mlflow_made_a_version_it_makes_no_second(
    kafka: str,
    settings_for: Callable[..., Any],
    tmp_path: Path,
    trained: Trained,
    make: SimpleNamespace,
) -> None:
    name, database = "registry-killed", tmp_path / "mlflow.db"
    settings: Settings = settings_for(Settings, mlflow={"url": f"sqlite:///{database}"})
    environment = {
        **os.environ,
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_DATABASE__URL": settings.database.url,
        "HEADRACE_MLFLOW__URL": settings.mlflow.url,
        "HEADRACE_HTTP__PORT": "0",
    }
    command = [sys.executable, "-P", "-m", "headrace_registry"]
    log = (tmp_path / "log").open("w")
    start = partial(subprocess.Popen, command, env=environment, stdout=log, stderr=log)
    process = start()
    publisher = build(
        settings_for(Settings, database={"url": f"sqlite+aiosqlite:///{tmp_path / 'other.db'}"})
    )
    await publisher._producer.start()
    try:
        loop = Loop(publisher, name, make)
        for number in range(1, 3):
            await loop.send(trained(f"killed-{number}"))
        for seen in range(1, 3):
            deadline = time.monotonic() + 120
            while versions_in(database) < seen:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
                await asyncio.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = start()
        found = await until(kafka, name, ["model.registered"] * 2)
        assert sorted(event.data.model.version for event in found) == ["1", "2"]
        assert len({event.data.model.artefact.uri for event in found}) == 2
        assert versions_in(database) == 2
    finally:
        process.kill()
        process.wait()
        await publisher._producer.stop()
        log.close()
