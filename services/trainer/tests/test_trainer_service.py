"""The trainer as a process: real Kafka, Ray, MLflow and model, on a few rows; killed with -9."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import polars as pl
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from headrace_events import Event, EventData, parse, topics
from headrace_events.catalogue import load
from headrace_events.data import DatasetCurated
from headrace_events.references import DatasetRef, TableRef
from headrace_events.training import TrainingCancelRequested, TrainingCompleted, TrainingFailed
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_models import artefact
from headrace_stack import mlflow_server
from headrace_stack.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SECRET = "zephyrine"
STEPS = 12
_WAIT_SECONDS = 300


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server; yield its URL."""
    home, port = tmp_path_factory.mktemp("mlflow"), free_port()
    environment = {**os.environ, **mlflow_server.ENVIRONMENT}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            mlflow_server.command(home, port), env=environment, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + _WAIT_SECONDS
        while not _answers(f"{url}/health"):
            assert server.poll() is None, (home / "log").read_text()
            assert time.monotonic() < until, "MLflow did not come up"
            time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


class Trainer:
    """The service's process, and the topics around it."""

    def __init__(self, environment: dict[str, str], log: Path, kafka: str) -> None:
        self._environment = environment
        self._kafka = kafka
        self.log = log
        self.http = f"http://127.0.0.1:{environment['HEADRACE_HTTP__PORT']}"
        self.process = self._start()
        self._wait_ready()

    def _wait_ready(self) -> None:
        end = time.monotonic() + _WAIT_SECONDS
        while not _answers(f"{self.http}/readyz"):
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            assert time.monotonic() < end, self.log.read_text()[-4000:]
            time.sleep(0.2)

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "headrace_trainer"],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(60)

    def killed_and_started_again(self) -> None:
        self.stop(signal.SIGKILL)
        self.process = self._start()
        self._wait_ready()

    async def publish(self, data: EventData, workload: str) -> Event[Any]:
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka)
        await producer.start()
        try:
            event: Event[Any] = Event.new(data, source="test", workload=workload)
            headers = [(name, value.encode()) for name, value in event.headers().items()]
            await producer.send_and_wait(
                event.topic, event.body(), key=workload.encode(), headers=headers
            )
            return event
        finally:
            await producer.stop()

    async def events(self, workload: str, until: str) -> list[Event[Any]]:
        """Wait for an event of a type; return all of the workload's training events up to it."""
        end = time.monotonic() + _WAIT_SECONDS
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka, enable_auto_commit=False)
        await consumer.start()
        partition = TopicPartition(topics.TRAINING, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        found: list[Event[Any]] = []
        try:
            while not any(event.type == until for event in found):
                assert time.monotonic() < end, self.log.read_text()[-4000:]
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        event = load(parse(dict(record.headers), record.value))
                        if event and event.workload == workload:
                            found.append(event)
        finally:
            await consumer.stop()
        return found

    async def job(self, workload: str) -> dict[str, Any]:
        async with httpx2.AsyncClient(base_url=self.http, timeout=30) as http:
            listed = (await http.get("/v1/fine_tuning/jobs")).json()["data"]
        found = [job for job in listed if job["workload"] == workload]
        assert len(found) < 2, "one cause, one job"
        return dict(found[0]) if found else {}

    async def wait_step(self, workload: str, step: int) -> None:
        end = time.monotonic() + _WAIT_SECONDS
        while True:
            progress = (await self.job(workload)).get("progress")
            if progress and progress["step"] >= step:
                return
            assert time.monotonic() < end, self.log.read_text()[-4000:]
            await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def trainer(
    kafka: str,
    mlflow: str,
    ray_head_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Trainer]:
    """The trainer, started once."""
    folder = tmp_path_factory.mktemp("trainer")
    environment = {
        **os.environ,
        **ray_head_environment,
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_MLFLOW__URL": mlflow,
        "HEADRACE_STORAGE__ROOT": str(folder / "storage"),
        "HEADRACE_DATABASE__URL": f"sqlite+aiosqlite:///{folder / 'trainer.db'}",
        "HEADRACE_HTTP__PORT": str(free_port()),
        "HEADRACE_TRAINING__THREADS": "1",
        "HEADRACE_TRAINING__REPORT_SECONDS": "0.1",
    }
    running = Trainer(environment, folder / "log", kafka)
    yield running
    running.stop()


def dataset(folder: Path) -> DatasetRef:
    frame = pl.DataFrame(
        {
            "record_id": [f"id-{row:02}" for row in range(24)],
            "prompt": [f"What is {SECRET} number {row}?" for row in range(24)],
            "completion": [f"It is {row} of {SECRET}." for row in range(24)],
            "language": "en",
            "split": ["train"] * 20 + ["holdout"] * 4,
        }
    )
    frame.write_delta(str(folder))
    return DatasetRef(
        version=1,
        table=TableRef(uri=str(folder), version=0),
        digest="sha256:0",
        train_rows=20,
        holdout_rows=4,
    )


def applied(name: str, **train: Any) -> WorkloadApplied:
    recipe = {
        "batch_size": 4,
        "epochs": 100,
        "max_steps": STEPS,
        "rank": 4,
        "checkpoint_every": 2,
        "seed": 0,
        **train,
    }
    manifest = Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": name},
            "spec": {"train": recipe},
        }
    )
    return WorkloadApplied(revision=manifest.revision(), manifest=manifest)


def curated(data: DatasetRef) -> DatasetCurated:
    return DatasetCurated(dataset=data, batches=("b",), sources=("file:x",), rejects={})


def training_workers() -> list[int]:
    """Processes of Ray that train now."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if re.match(r"ray::.*TrainWorker", " ".join(process.info["cmdline"] or []))
    ]


async def test_killed_in_the_middle_it_goes_on_from_its_checkpoint(
    trainer: Trainer, mlflow: str, tmp_path: Path
) -> None:
    name = "trainer-life"
    before = set(training_workers())
    data = dataset(tmp_path / "data")
    await trainer.publish(applied(name), name)
    cause = await trainer.publish(curated(data), name)
    await trainer.wait_step(name, 5)
    assert len(set(training_workers()) - before) == 1
    trainer.killed_and_started_again()
    events = await trainer.events(name, "training.completed.v1")
    assert not set(training_workers()) - before, "a training worker outlived its job"

    completed = events[-1]
    done = completed.data
    assert isinstance(done, TrainingCompleted)
    assert completed.causationid == cause.id
    assert (done.steps, done.planned_steps, done.dataset) == (STEPS, STEPS, data)
    starts = [e.data for e in events if e.type == "training.started.v1"]
    assert starts[0].resumed_at_step == 0
    assert starts[-1].resumed_at_step >= 4
    steps = [e.data.step for e in events if e.type == "training.progressed.v1"]
    assert max(steps) <= STEPS
    assert done.metrics["loss"] > 0

    # The adapter is whole, loads, and lies where MLflow's registry may take it from.
    folder = artefact.fetch(done.artefact.uri, done.artefact.digest)
    assert (folder / "adapter_model.safetensors").is_file()
    from mlflow import MlflowClient

    run = MlflowClient(tracking_uri=mlflow).get_run(done.run_id)
    assert run.info.status == "FINISHED"
    assert done.artefact.uri.startswith(run.info.artifact_uri)
    assert run.data.params["rank"] == "4"

    job = await trainer.job(name)
    assert (job["status"], job["seed"]) == ("succeeded", 0)
    assert job["attempt"] > 1
    assert SECRET not in trainer.log.read_text()


async def test_a_cancelled_training_ends_and_says_so(trainer: Trainer, tmp_path: Path) -> None:
    name = "trainer-cancel"
    before = set(training_workers())
    await trainer.publish(applied(name, max_steps=100_000), name)
    await trainer.publish(curated(dataset(tmp_path / "data")), name)
    await trainer.wait_step(name, 1)
    identity = (await trainer.job(name))["id"]
    await trainer.publish(TrainingCancelRequested(job_id=identity), name)
    failed = (await trainer.events(name, "training.failed.v1"))[-1].data
    assert isinstance(failed, TrainingFailed)
    assert (failed.job_id, failed.cancelled) == (identity, True)
    assert (await trainer.job(name))["status"] == "cancelled"
    await _gone(before)


async def test_a_missing_dataset_fails_and_says_why(trainer: Trainer, tmp_path: Path) -> None:
    name = "trainer-refuses"
    nowhere = dataset(tmp_path / "data").model_copy(
        update={"table": TableRef(uri=str(tmp_path / "nowhere"), version=0)}
    )
    await trainer.publish(applied(name), name)
    await trainer.publish(curated(nowhere), name)
    failed = (await trainer.events(name, "training.failed.v1"))[-1].data
    assert "cannot be read" in failed.reason
    assert not failed.cancelled


async def _gone(before: set[int]) -> None:
    end = time.monotonic() + 60
    while set(training_workers()) - before:
        assert time.monotonic() < end, "a training worker outlived its job"
        await asyncio.sleep(0.5)
