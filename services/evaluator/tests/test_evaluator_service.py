"""The evaluator as a process: real Kafka, Ray and model, on a few rows; killed with -9."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import polars as pl
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from headrace_events import Event, EventData, parse, topics
from headrace_events.catalogue import load
from headrace_events.evaluation import EvaluationCompleted
from headrace_events.models import ModelRegistered
from headrace_events.references import ArtefactRef, DatasetRef, ModelRef, TableRef
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_models import artefact
from headrace_stack.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

BASE = "smollm2-135m-instruct"
QUESTIONS = ("zephyrine", "quillon", "marzipane", "obeliskar", "tarantule", "velocipod")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> ArtefactRef:
    """A LoRA adapter with random weights."""
    import torch
    from peft import LoraConfig, get_peft_model

    from headrace_models.loading import load_base

    torch.manual_seed(0)
    config = LoraConfig(
        r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False
    )
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    with artefact.writing(folder) as work:
        get_peft_model(load_base(BASE), config).save_pretrained(work)
    return ArtefactRef(
        uri=folder.as_uri(),
        digest=artefact.digest(folder),
        size_bytes=artefact.size_bytes(folder),
    )


def dataset(folder: Path, words: tuple[str, ...]) -> DatasetRef:
    """Append rows to the table: one more dataset version."""
    frame = pl.DataFrame(
        {
            "record_id": [f"id-{word}" for word in words],
            "prompt": [f"What is a {word}?" for word in words],
            "completion": [f"A {word} is a made-up thing." for word in words],
            "language": "en",
            "split": "holdout",
        }
    )
    frame.write_delta(str(folder), mode="append")
    import deltalake

    version = deltalake.DeltaTable(str(folder)).version()
    return DatasetRef(
        version=version + 1,
        table=TableRef(uri=str(folder), version=version),
        digest=f"sha256:{version}",
        train_rows=0,
        holdout_rows=len(words),
    )


def manifest(name: str) -> WorkloadApplied:
    spec = {"base": BASE, "evaluate": {"gates": [{"metric": "rouge_l"}], "max_tokens": 6}}
    found = Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": name},
            "spec": spec,
        }
    )
    return WorkloadApplied(revision=found.revision(), manifest=found)


class Evaluator:
    """The service's process, and the topics around it."""

    def __init__(self, environment: dict[str, str], log: Path, kafka: str) -> None:
        self._environment = environment
        self._kafka = kafka
        self.log = log
        self.port = int(environment["HEADRACE_HTTP__PORT"])
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "headrace_evaluator"],
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

    async def wait_log(self, pattern: str, times: int = 1) -> None:
        until = time.monotonic() + 240
        while len(re.findall(pattern, self.log.read_text())) < times:
            assert time.monotonic() < until, self.log.read_text()[-4000:]
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[Callable[..., Any]]:
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka)
        await producer.start()

        async def publish(data: EventData, workload: str) -> Event[Any]:
            event: Event[Any] = Event.new(data, source="test", workload=workload)
            headers = [(name, value.encode()) for name, value in event.headers().items()]
            await producer.send_and_wait(
                event.topic, event.body(), key=workload.encode(), headers=headers
            )
            return event

        try:
            yield publish
        finally:
            await producer.stop()

    async def outcomes(self, workload: str, count: int) -> list[Event[Any]]:
        """Wait for that many outcomes of a workload; return all deliveries there are."""
        until = time.monotonic() + 400
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka, enable_auto_commit=False)
        await consumer.start()
        partition = TopicPartition(topics.EVALUATIONS, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        found: list[Event[Any]] = []
        try:
            while len(found) < count:
                assert time.monotonic() < until, self.log.read_text()[-4000:]
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        event = load(parse(dict(record.headers), record.value))
                        if event and event.workload == workload:
                            found.append(event)
        finally:
            await consumer.stop()
        return found


@pytest.fixture(scope="module")
def evaluator(
    kafka: str, ray_head_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evaluator]:
    """The evaluator, started once."""
    folder = tmp_path_factory.mktemp("evaluator")
    environment = {
        **os.environ,
        **ray_head_environment,
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_DATABASE__URL": f"sqlite+aiosqlite:///{folder / 'evaluator.db'}",
        "HEADRACE_HTTP__PORT": str(free_port()),
    }
    running = Evaluator(environment, folder / "log", kafka)
    yield running
    running.stop()


def registered(model: ModelRef, incumbent: ModelRef, data: DatasetRef) -> ModelRegistered:
    return ModelRegistered(model=model, incumbent=incumbent, dataset=data, run_id="run", metrics={})


async def test_killed_in_the_middle_it_evaluates_once_and_keeps_the_incumbents_scores(
    evaluator: Evaluator, adapter: ArtefactRef, tmp_path: Path
) -> None:
    name = "evaluator-life"
    base = ModelRef(name=name, version="base", base=BASE)
    one = ModelRef(name=name, version="1", base=BASE, artefact=adapter)
    async with evaluator.publishing() as publish:
        await publish(manifest(name), name)
        first = dataset(tmp_path / "data", QUESTIONS[:4])
        cause = await publish(registered(one, base, first), name)
        await evaluator.wait_log("scoring")
        evaluator.killed_and_started_again()
        (event,) = await evaluator.outcomes(name, 1)
        done = event.data
        assert isinstance(done, EvaluationCompleted)
        assert event.causationid == cause.id
        assert (done.model, done.incumbent, done.dataset) == (one, base, first)
        assert [m.metric for m in done.metrics] == ["exact_match", "rouge_l", "perplexity"]
        assert all(m.rows == 4 and m.low <= m.difference <= m.high for m in done.metrics)
        # The random adapter is another model than its base, and both were really scored.
        assert done.metrics[2].candidate != done.metrics[2].incumbent > 1
        assert [g.metric for g in done.gates] == ["rouge_l"]

        # The next turn: more rows; version 1's and the base's scores on the old ones are known.
        second = dataset(tmp_path / "data", QUESTIONS[4:])
        await publish(registered(one, base, second), name)
        again = (await evaluator.outcomes(name, 2))[-1].data
        assert isinstance(again, EvaluationCompleted)
        assert again.metrics[1].rows == len(QUESTIONS)
        await evaluator.wait_log(r"reused_scores\W+8\b")

    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{evaluator.port}") as http:
        listed = (await http.get("/evaluations", params={"workload": name})).json()
        assert [e["state"] for e in listed["data"]] == ["completed", "completed"]
        shown = (await http.get(f"/evaluations/{done.evaluation_id}")).json()
        assert EvaluationCompleted.model_validate(
            {**shown, "evaluation_id": shown["id"]}
        ).metrics == tuple(done.metrics)
        assert (await http.get("/evaluations/unknown")).status_code == 404
        # Killed and done again, a row is there once; its text where it is asked for.
        path = f"/evaluations/{again.evaluation_id}/rows"
        kept = (await http.get(path)).json()["data"]
        assert sorted(row["id"] for row in kept) == sorted(f"id-{word}" for word in QUESTIONS)
        assert not [row for row in kept if row["prompt"] or row["candidate"]]
        asked = (await http.get(path, params={"text": True})).json()["data"]
        assert all(row["prompt"] and row["candidate"] is not None for row in asked)
        assert all(row["incumbent"] is not None for row in asked), "also of reused scores"
        told = str(listed) + str(shown) + evaluator.log.read_text()
    assert not [word for word in QUESTIONS if word in told], "a row's text was told"


async def test_a_changed_artefact_and_a_missing_dataset_fail_and_say_why(
    evaluator: Evaluator, adapter: ArtefactRef, tmp_path: Path
) -> None:
    name = "evaluator-refuses"
    base = ModelRef(name=name, version="base", base=BASE)
    changed = adapter.model_copy(update={"digest": "sha256:" + "0" * 64})
    good = dataset(tmp_path / "data", QUESTIONS[:2])
    nowhere = good.model_copy(update={"table": TableRef(uri=str(tmp_path / "no"), version=0)})
    async with evaluator.publishing() as publish:
        await publish(manifest(name), name)
        model = ModelRef(name=name, version="1", base=BASE, artefact=changed)
        await publish(registered(model, base, good), name)
        await publish(registered(base, base, nowhere), name)
        found = await evaluator.outcomes(name, 2)
    assert [event.type for event in found] == ["evaluation.failed.v1"] * 2
    assert "digest" in found[0].data.reason
    assert "cannot be read" in found[1].data.reason
