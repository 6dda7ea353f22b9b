"""A workload's life as events, and a monitor process to show it to."""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from headrace_events import Event, EventData, new_id
from headrace_events.data import DatasetCurated, RecordsLanded
from headrace_events.evaluation import EvaluationCompleted, GateResult, MetricResult
from headrace_events.inference import (
    Arm,
    FeedbackGiven,
    GuardrailTripped,
    InferenceCompleted,
    InferenceRejected,
    Message,
    Usage,
)
from headrace_events.models import ModelApproved, ModelPromoted, ModelRegistered, ModelRejected
from headrace_events.references import ArtefactRef, DatasetRef, ModelRef, TableRef
from headrace_events.rollout import RolloutFinished, RolloutStarted, RolloutStepped
from headrace_events.training import TrainingCompleted, TrainingProgressed, TrainingStarted
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_stack.testing import running_kafka

# A phrase, cut into words where it is used: ruff would spell the list out on one line.
PHRASE = "how do I read a file line by line in python with open and iterate sort list key"


class Story:
    """Publishes events of one workload in the order in which the loop makes them."""

    def __init__(self, bootstrap: str, workload: str, **spec: Any) -> None:
        self.bootstrap = bootstrap
        self.workload = workload
        self.manifest = Manifest.model_validate(
            {
                "apiVersion": "headrace/v1",
                "kind": "Workload",
                "metadata": {"name": workload, "owner": "team-docs"},
                "spec": spec,
            }
        )
        self.base = ModelRef(name=workload, version="base", base="smollm2-135m-instruct")
        self.dice = random.Random(7)
        self.last: Event[Any] | None = None

    async def __aenter__(self) -> "Story":
        self._producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, event: Event[Any]) -> None:
        """Publish one event as it is."""
        headers = [(k, v.encode()) for k, v in event.headers().items()]
        await self._producer.send_and_wait(
            event.topic, event.body(), key=event.workload.encode(), headers=headers
        )

    async def tell(
        self, source: str, data: EventData, *, cause: bool = True, subject: str = ""
    ) -> Event[Any]:
        """Publish an event caused by the one before."""
        trace = hashlib.sha256(f"{self.workload}{data.TYPE}".encode()).hexdigest()
        event: Event[Any] = Event.new(
            data,
            source=source,
            workload=self.workload,
            subject=subject,
            cause=self.last if cause else None,
            discriminator=subject or new_id(),
            traceparent=f"00-{trace[:32]}-{trace[32:48]}-01",
        )
        await self.send(event)
        self.last = event
        return event

    def dataset(self, version: int, rows: int = 1820) -> DatasetRef:
        """Return a dataset version's reference."""
        return DatasetRef(
            version=version,
            table=TableRef(uri=f"file:///storage/datasets/{self.workload}", version=version),
            digest="d" * 64,
            train_rows=rows,
            holdout_rows=rows // 9,
        )

    def model(self, version: str) -> ModelRef:
        """Return a model version's reference."""
        if version == "base":
            return self.base
        artefact = ArtefactRef(uri=f"file:///runs/{version}/adapter", digest="a" * 64, size_bytes=9)
        return self.base.model_copy(update={"version": version, "artefact": artefact})

    async def applied(self) -> None:
        """Apply the manifest."""
        revision = self.manifest.revision()
        data = WorkloadApplied(revision=revision, manifest=self.manifest)
        await self.tell("stack", data, cause=False)

    async def curated(self, version: int, *, source: str = "python_docs", rows: int = 1820) -> None:
        """Land records and curate a dataset version."""
        table = TableRef(uri=f"file:///storage/raw/{self.workload}", version=version)
        landed = RecordsLanded(batch_id=f"batch-{version}", table=table, rows=rows, source=source)
        await self.tell("ingest", landed)
        await self.tell(
            "data-quality",
            DatasetCurated(
                dataset=self.dataset(version, rows),
                batches=(landed.batch_id,),
                sources=(source,),
                rejects={"near_duplicate": 211, "too_long": 87, "language": 34, "empty": 12},
                redactions={"email": 14, "phone": 3},
            ),
        )

    async def trained(self, version: int, steps: int = 120, pause: float = 0.0) -> None:
        """Train on a dataset version."""
        job, data = f"job-{version}", self.dataset(version)
        await self.tell(
            "trainer",
            TrainingStarted(job_id=job, base=self.base.base, dataset=data, steps=steps),
            subject=job,
        )
        for step in range(10, steps + 1, 10):
            loss = 0.4 + 3.2 * 0.97**step + self.dice.random() * 0.08
            progress = TrainingProgressed(
                job_id=job, step=step, steps=steps, loss=loss, tokens_per_second=312.0
            )
            await self.tell("trainer", progress)
            await asyncio.sleep(pause)
        await self.tell(
            "trainer",
            TrainingCompleted(
                job_id=job,
                run_id=f"run{version}",
                base=self.base.base,
                dataset=data,
                artefact=self.model(str(version)).artefact or _never(),
                steps=steps,
                planned_steps=steps,
                seconds=131.0,
                metrics={"loss": 0.47},
            ),
            subject=job,
        )

    async def evaluated(
        self, version: str, incumbent: str, gain: float, *, passed: bool = True
    ) -> None:
        """Register and evaluate a version; open or shut the gate."""
        candidate, against = self.model(version), self.model(incumbent)
        data = self.dataset(int(version))
        await self.tell(
            "registry",
            ModelRegistered(
                model=candidate, incumbent=against, dataset=data, run_id=f"run{version}", metrics={}
            ),
        )
        scores = [
            ("exact_match", 0.02 if incumbent == "base" else 0.31, gain),
            ("rouge_l", 0.142 if incumbent == "base" else 0.481, gain * 1.2),
            ("perplexity", 19.4 if incumbent == "base" else 5.1, -gain * 20),
        ]
        metrics = tuple(
            MetricResult(
                metric=name,
                candidate=score + better,
                incumbent=score,
                difference=better,
                low=better - abs(better) * 0.3 - 0.02,
                high=better + abs(better) * 0.3 + 0.02,
                confidence=0.95,
                rows=100,
            )
            for name, score, better in scores
        )
        bound = metrics[1].low
        gate = GateResult(
            metric="rouge_l", margin=-0.01, passed=passed, bound=bound, reason="lower bound"
        )
        await self.tell(
            "evaluator",
            EvaluationCompleted(
                evaluation_id=f"evaluation-{version}",
                model=candidate,
                incumbent=against,
                dataset=data,
                metrics=metrics,
                gates=(gate,),
                passed=passed,
                seconds=41.0,
            ),
        )
        evaluation = f"evaluation-{version}"
        if passed:
            approved = ModelApproved(model=candidate, incumbent=against, evaluation_id=evaluation)
            await self.tell("registry", approved)
        else:
            reason = f"gate rouge_l: bound {bound:+.3f} is below margin -0.010"
            await self.tell(
                "registry",
                ModelRejected(model=candidate, reason=reason, evaluation_id=evaluation),
            )

    async def canary(self, version: str, incumbent: str) -> str:
        """Start a roll-out."""
        steps = self.manifest.spec.serve.canary.steps
        rollout_id = f"{self.workload}-{version}"
        await self.tell(
            "serving",
            RolloutStarted(
                rollout_id=rollout_id,
                candidate=self.model(version),
                incumbent=self.model(incumbent),
                step=0,
                weight=steps[0],
                steps=steps,
            ),
            subject=rollout_id,
        )
        return rollout_id

    async def stepped(self, version: str, step: int) -> None:
        """Give the candidate the next weight."""
        weight = self.manifest.spec.serve.canary.steps[step]
        rollout_id = f"{self.workload}-{version}"
        await self.tell(
            "serving",
            RolloutStepped(
                rollout_id=rollout_id, candidate=self.model(version), step=step, weight=weight
            ),
            subject=rollout_id,
        )

    async def finished(self, version: str, incumbent: str, *, good: bool = True) -> None:
        """End the roll-out and promote or reject."""
        candidate, before = self.model(version), self.model(incumbent)
        outcome = RolloutFinished(
            rollout_id=f"{self.workload}-{version}",
            candidate=candidate,
            incumbent=before,
            outcome="succeeded" if good else "failed",
            reason="all steps passed" if good else "the canary failed",
        )
        await self.tell("serving", outcome)
        if good:
            await self.tell("registry", ModelPromoted(model=candidate, previous=before))
        else:
            await self.tell("registry", ModelRejected(model=candidate, reason="the canary failed"))

    def completed(
        self,
        version: str,
        arm: Arm,
        *,
        latency_ms: float | None = None,
        words: Sequence[str] = (),
        at: datetime | None = None,
        request_id: str | None = None,
    ) -> Event[InferenceCompleted]:
        """Return an answered request."""
        typical = 640.0 if version == "base" else 410.0
        latency = latency_ms or typical * self.dice.lognormvariate(0, 0.25)
        prompt = " ".join(self.dice.choices(words or PHRASE.split(), k=9))
        data = InferenceCompleted(
            request_id=request_id or new_id(),
            messages=(Message(role="user", content=prompt),),
            text="an answer",
            model=self.workload,
            model_version=version,
            arm=arm,
            finish_reason="stop",
            usage=Usage(input_tokens=12, output_tokens=30),
            latency_ms=latency,
        )
        event: Event[InferenceCompleted] = Event.new(
            data, source="guardrails", workload=self.workload, subject=data.request_id
        )
        return event.model_copy(update={"time": at}) if at else event

    def failed(self, version: str, arm: Arm) -> Event[InferenceRejected]:
        """Return a request that the engine failed."""
        data = InferenceRejected(
            request_id=new_id(),
            reason="engine_error",
            detail="the engine stopped",
            stage="serving",
            model_version=version,
            arm=arm,
        )
        return Event.new(data, source="serving", workload=self.workload, subject=data.request_id)

    async def requests(self, events: Sequence[Event[Any]]) -> None:
        """Publish many events at once."""
        await asyncio.gather(*(self.send(event) for event in events))

    async def rated(self, request_id: str, rating: int) -> None:
        """Publish feedback."""
        data = FeedbackGiven.model_validate({"request_id": request_id, "rating": rating})
        await self.send(Event.new(data, source="product", workload=self.workload))

    async def tripped(self, check: str, action: str, labels: tuple[str, ...] = ()) -> None:
        """Publish a guardrail trip."""
        data = GuardrailTripped.model_validate(
            {
                "request_id": new_id(),
                "stage": "input",
                "check": check,
                "action": action,
                "labels": labels,
            }
        )
        await self.send(Event.new(data, source="guardrails", workload=self.workload))


def _never() -> ArtefactRef:
    raise AssertionError("versions other than the base have an artefact")


class MonitorProcess:
    """`python -m headrace_monitor` on a database of its own; may be killed and started again."""

    def __init__(self, bootstrap: str, folder: Path, services: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "monitor.db"
        self._log = folder / "monitor.log"
        self._environment = {
            **os.environ,
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "HEADRACE_DATABASE__URL": f"sqlite+aiosqlite:///{self.database}",
            "HEADRACE_HTTP__PORT": str(self.port),
            "HEADRACE_INSTANCE": folder.name,
            "HEADRACE_MONITOR__SERVICES": json.dumps(services | {"monitor": f"{self.url}/readyz"}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "headrace_monitor"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_for("/readyz", lambda body: bool(body["ready"]), seconds=60)

    def kill(self) -> None:
        """Kill it with -9."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop it if it runs."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    def get(self, path: str) -> Any:
        """Return the JSON of a path."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def text(self, path: str) -> str:
        """Return the text of a path."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return str(answer.read().decode())

    def wait_for(self, path: str, good: Callable[[Any], bool], seconds: float = 30) -> Any:
        """Ask until the answer is good; return it."""
        deadline = time.monotonic() + seconds
        body: Any = None
        while time.monotonic() < deadline:
            # The service may be between a kill and its restart.
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                body = self.get(path)
                if good(body):
                    return body
            time.sleep(0.1)
        pytest.fail(f"{path} was not good within {seconds} s: {json.dumps(body)[:2000]}")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kafka of its own: monitor takes in whatever the log holds before it shows the new."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield bootstrap


@pytest.fixture
def make_story() -> Callable[..., Story]:
    """Return `make(workload, bootstrap="", **spec)`."""

    def make(workload: str, bootstrap: str = "", **spec: Any) -> Story:
        return Story(bootstrap, workload, **spec)

    return make


@pytest.fixture(scope="module")
def monitor(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitorProcess]:
    """Run a monitor on the real Kafka; one service that it asks for its state is not there.

    The tests of a module share it: each uses a workload of its own.
    """
    folder = tmp_path_factory.mktemp("monitor")
    process = MonitorProcess(kafka, folder, {"trainer": "http://127.0.0.1:9/readyz"})
    process.start()
    try:
        yield process
    finally:
        process.stop()
