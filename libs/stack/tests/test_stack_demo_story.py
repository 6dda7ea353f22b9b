"""The demo's story is told from events alone."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from rich.console import Console

from headrace_events import Event
from headrace_events import canary_evidence as evidence
from headrace_events.data import DatasetCurated, RecordsLanded, RecordsRejected
from headrace_events.evaluation import EvaluationCompleted, GateResult, MetricResult
from headrace_events.models import ModelApproved, ModelPromoted, ModelRegistered, ModelRejected
from headrace_events.references import ArtefactRef, DatasetRef, ModelRef, TableRef
from headrace_events.rollout import ArmStats, CanaryJudged, RolloutFinished, RolloutStarted
from headrace_events.training import TrainingCompleted, TrainingFailed, TrainingStarted
from headrace_stack.demo.plan import SMALL, Size, python_docs
from headrace_stack.demo.product import Product, Tally
from headrace_stack.demo.story import Story

run = importlib.import_module("headrace_stack.demo.run")

BASE = ModelRef(name="w", version="base", base="b")
TABLE = TableRef(uri="x", version=1)
ARTEFACT = ArtefactRef(uri="x", digest="0" * 64, size_bytes=1)


def dataset(version: int) -> DatasetRef:
    return DatasetRef(version=version, table=TABLE, digest="d", train_rows=90, holdout_rows=10)


def model(version: int) -> ModelRef:
    return ModelRef(name="w", version=str(version), base="b", artefact=ARTEFACT)


class Teller:
    def __init__(self) -> None:
        self.story = Story()
        self.last: Event[Any] | None = None

    def __call__(self, data: Any, cause: bool = True):
        event = Event.new(data, source="test", workload="w", cause=self.last if cause else None)
        self.last = event
        return self.story.take(event)

    def turn(self, version: int, source: str, passed: bool) -> None:
        incumbent = BASE if version == 1 else model(version - 1)
        metric = MetricResult(
            metric="rouge_l", candidate=0.5, incumbent=0.2, difference=0.3, low=0.2, high=0.4,
            confidence=0.95, rows=10,
        )  # fmt: skip
        gate = GateResult(metric="rouge_l", margin=0, passed=passed, bound=0.2, reason="r")
        self(RecordsLanded(batch_id="b", table=TABLE, rows=100, source=source), cause=False)
        self(DatasetCurated(dataset=dataset(version), batches=(), sources=(), rejects={"empty": 2}))
        self(TrainingStarted(job_id=f"j{version}", base="b", dataset=dataset(version), steps=10))
        self(
            TrainingCompleted(
                job_id=f"j{version}", run_id="r", base="b", dataset=dataset(version),
                artefact=ARTEFACT, steps=10, planned_steps=10, seconds=1, metrics={},
            )
        )  # fmt: skip
        self(
            ModelRegistered(
                model=model(version), incumbent=incumbent, dataset=dataset(version), run_id="r",
                metrics={},
            )
        )  # fmt: skip
        self(
            EvaluationCompleted(
                evaluation_id="e", model=model(version), incumbent=incumbent,
                dataset=dataset(version), metrics=(metric,), gates=(gate,), passed=passed,
                seconds=1,
            )
        )  # fmt: skip

    def promote(self, version: int) -> None:
        arm = ArmStats(version="1", requests=20, errors=0, p50_ms=1, p95_ms=2)
        incumbent = BASE if version == 1 else model(version - 1)
        self(ModelApproved(model=model(version), incumbent=incumbent, evaluation_id="e"))
        self(
            RolloutStarted(
                rollout_id=f"r{version}", candidate=model(version), incumbent=incumbent, step=0,
                weight=25, steps=(25,),
            )
        )  # fmt: skip
        self(
            CanaryJudged(
                rollout_id=f"r{version}", step=0, verdict="advance", reason="r", candidate=arm,
                incumbent=arm,
            )
        )  # fmt: skip
        self(
            RolloutFinished(
                rollout_id=f"r{version}", candidate=model(version), incumbent=incumbent,
                outcome="succeeded", reason="r",
            )
        )  # fmt: skip
        self(ModelPromoted(model=model(version), previous=incumbent))


def test_a_turn_goes_through_every_stage_in_order() -> None:
    tell = Teller()
    tell.turn(1, "python_docs", passed=True)
    tell.promote(1)
    (turn,) = tell.story.turns
    assert [s.state for s in turn.stages.values()] == ["done"] * 8
    assert turn.decision == "promoted" and turn.version == "1"
    assert turn.stages["trainer"].caused_by == "dataset.curated.v1"


def test_traffic_opens_a_second_turn_and_a_rejection_ends_it() -> None:
    tell = Teller()
    tell.turn(1, "python_docs", passed=True)
    tell.promote(1)
    tell.turn(2, "traffic", passed=False)
    line = tell(ModelRejected(model=model(2), reason="rouge_l: -0.03 is below -0.02"))
    assert line is not None and line.turn == 2
    first, second = tell.story.turns
    assert first.decision == "promoted"
    assert second.decision == "rejected" and second.over and not second.failure
    assert "below" in second.reason


@pytest.mark.parametrize(
    ("data", "stage"),
    [
        (RecordsRejected(source="file:x", reason="no column `text`"), "ingest"),
        (TrainingFailed(job_id="j", reason="out of memory"), "trainer"),
    ],
)
def test_a_stage_that_fails_is_named_with_its_reason(data: Any, stage: str) -> None:
    tell = Teller()
    tell(data)
    assert tell.story.turns[0].failure.startswith(stage)
    assert data.reason in tell.story.turns[0].failure


def test_a_repeated_event_is_told_once() -> None:
    tell = Teller()
    line = tell(RecordsLanded(batch_id="b", table=TABLE, rows=1, source="file"))
    assert line is not None and tell.last is not None
    assert tell.story.take(tell.last) is None
    assert len(tell.story.turns) == 1


@pytest.mark.parametrize("size", [Size(), SMALL])
def test_the_demos_canary_can_be_shown_with_the_requests_that_it_asks_for(size: Size) -> None:
    canary = python_docs(size, "docs").manifest.spec.serve.canary
    assert evidence.note(canary) == ""
    for weight in canary.steps:
        wanted = evidence.canary_requests(canary, weight)
        assert wanted is not None and wanted <= canary.min_requests
    # Every step costs its requests twice, in both turns.
    assert sum(canary.min_requests * 100 / weight for weight in canary.steps) < 150


class _Slow:
    """A loop that says nothing while its product is answered now and then."""

    def __init__(self, tally: Tally, silent: int, answers: int) -> None:
        self._tally, self._silent, self._answers = tally, silent, answers

    async def __aiter__(self) -> AsyncIterator[Event[Any]]:
        for _ in range(self._silent):
            await asyncio.sleep(run._SILENCE_SECONDS * 0.8)
            self._tally.answered += self._answers
        yield Event.new(
            RecordsLanded(batch_id="b", table=TABLE, rows=1, source="file"),
            workload="docs", source="test", subject="s",
        )  # fmt: skip


@pytest.mark.parametrize("answers", [0, 1])
async def test_a_slow_canary_is_no_silence_and_a_standstill_is_one(
    answers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_SILENCE_SECONDS", 0.1)
    product = Product(cast(Any, None), "docs", (), 0)
    addresses = run.Addresses("", "", "", "")
    demo = run._Demo(python_docs(SMALL, "docs"), addresses, Console())
    events = aiter(_Slow(product.tally, 5, answers))
    if answers:
        assert isinstance((await demo._next(events, product)).data, RecordsLanded)
    else:
        with pytest.raises(run.DemoFailed, match="no event for"):
            await demo._next(events, product)
