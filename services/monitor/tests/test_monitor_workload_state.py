"""What a workload does, and why it waits: each stage from the events that make it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace_events import Event, EventData
from headrace_events.data import DatasetCurated, DatasetRejected, RecordsLanded, RecordsRejected
from headrace_events.evaluation import EvaluationCompleted, EvaluationFailed, MetricResult
from headrace_events.models import (
    ModelApproved,
    ModelPromoted,
    ModelRegistered,
    ModelRejected,
    ModelRolledBack,
)
from headrace_events.references import ArtefactRef, DatasetRef, ModelRef, TableRef
from headrace_events.rollout import RolloutFinished, RolloutStarted
from headrace_events.training import (
    TrainingCompleted,
    TrainingFailed,
    TrainingProgressed,
    TrainingStarted,
)
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_monitor.core.entries import entry
from headrace_monitor.core.projection import Loops
from headrace_monitor.core.states import Standing, State
from headrace_monitor.core.workload_state import reached, state, troubles

START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
TABLE = TableRef(uri="file:///t", version=1)
DATASET = DatasetRef(version=1, table=TABLE, digest="d", train_rows=90, holdout_rows=10)
BASE = ModelRef(name="docs", version="base", base="smollm2")
MODEL = ModelRef(name="docs", version="1", base="smollm2")
ARTEFACT = ArtefactRef(uri="file:///a", digest="a", size_bytes=1)
MANIFEST = Manifest.model_validate(
    {
        "apiVersion": "headrace/v1",
        "kind": "Workload",
        "metadata": {"name": "docs"},
        "spec": {"data": {"sources": [{"type": "file", "path": "/rows.csv"}]}},
    }
)
APPLIED = WorkloadApplied(revision=MANIFEST.revision(), manifest=MANIFEST)
LANDED = RecordsLanded(batch_id="b1", table=TABLE, rows=120, source="file:rows.csv")
CURATED = DatasetCurated(dataset=DATASET, batches=("b1",), sources=("file:rows.csv",), rejects={})
STARTED = TrainingStarted(job_id="j", base="b", dataset=DATASET, steps=40)
STEP = TrainingProgressed(job_id="j", step=10, steps=40, loss=0.5, tokens_per_second=31.0)
TRAINED = TrainingCompleted(
    job_id="j", run_id="r", base="b", dataset=DATASET, artefact=ARTEFACT, steps=40,
    planned_steps=40, seconds=9.0, metrics={},
)  # fmt: skip
FAILED = TrainingFailed(job_id="j", reason="the worker died three times")
CANCELLED = TrainingFailed(job_id="j", reason="somebody asked for it", cancelled=True)
REGISTERED = ModelRegistered(model=MODEL, incumbent=BASE, dataset=DATASET, run_id="r", metrics={})
METRIC = MetricResult(
    metric="rouge_l", candidate=0.5, incumbent=0.2, difference=0.3, low=0.1, high=0.4,
    confidence=0.95, rows=10,
)  # fmt: skip
SCORED = EvaluationCompleted(
    evaluation_id="e", model=MODEL, incumbent=BASE, dataset=DATASET, metrics=(METRIC,), gates=(),
    passed=True, seconds=1.0,
)  # fmt: skip
UNSCORED = EvaluationFailed(evaluation_id="e", model=MODEL, reason="no holdout rows")
APPROVED = ModelApproved(model=MODEL, incumbent=BASE, evaluation_id="e")
REJECTED = ModelRejected(model=MODEL, reason="rouge_l is below its margin", evaluation_id="e")
CANARY = RolloutStarted(
    rollout_id="r1", candidate=MODEL, incumbent=BASE, step=0, weight=25, steps=(25, 50)
)
UNDONE = RolloutFinished(
    rollout_id="r1", candidate=MODEL, incumbent=BASE, outcome="failed", reason="slow"
)
SLOW = ModelRejected(model=MODEL, reason="the canary was slow")
PROMOTED = ModelPromoted(model=MODEL, previous=BASE)
BACK = ModelRolledBack(model=MODEL, restored=BASE, reason="answers were wrong")
SMALL = DatasetRejected(batches=("b1",), reason="20 rows are left, min_rows asks for 50")
KNOWN = DatasetRejected(batches=("b2",), reason="nothing new since version 1", used_up=True)
UNREAD = RecordsRejected(source="file:rows.csv", reason="missing column `label`")

TRAINING = [APPLIED, LANDED, CURATED, STARTED]
EVALUATED = [*TRAINING, TRAINED, REGISTERED, SCORED]


def loops_of(*told: EventData) -> Loops:
    """Fold events, a minute apart."""
    loops = Loops()
    for minute, data in enumerate(told):
        event: Event[Any] = Event.new(data, source="test", workload="docs")
        at = START + timedelta(minutes=minute)
        loops.add(entry(event.model_copy(update={"time": at}), f"trace{minute}"))
    return loops


def now(*told: EventData, **more: Any) -> State:
    loop = loops_of(*told).by_name["docs"]
    return state(loop, MANIFEST, START + timedelta(minutes=len(told)), **more)


@pytest.mark.parametrize(
    ("told", "stage", "sentence", "step"),
    [
        ([APPLIED], "landing", "Landing sources: the manifest was applied", ""),
        ([APPLIED, LANDED], "curating", "Curating: 120 rows from file:rows.csv landed", ""),
        ([APPLIED, UNREAD], "refused",
         "Source refused: file:rows.csv: missing column `label`", "headrace apply -f FILE"),
        ([APPLIED, LANDED, SMALL], "refused",
         "Records refused: 20 rows are left, min_rows asks for 50",
         "GET /datasets/docs"),
        ([APPLIED, LANDED, CURATED], "training",
         "Training is next: version 1: 90 train, 10 holdout, 0 dropped", ""),
        (TRAINING, "training", "Training on dataset v1: step 0 of 40", ""),
        ([*TRAINING, STEP], "training",
         "Training on dataset v1: step 10 of 40 · loss 0.500 · 31 tokens/s", ""),
        ([*TRAINING, FAILED], "failed",
         "Training failed: the worker died three times", "headrace logs trainer"),
        ([*TRAINING, CANCELLED], "failed",
         "Training cancelled: somebody asked for it", "fine_tuning/jobs with model `docs`"),
        ([*TRAINING, TRAINED], "evaluating", "Registering the model: 40 steps in 9 s", ""),
        ([*TRAINING, TRAINED, REGISTERED], "evaluating",
         "Evaluating v1: against base, on the same holdout rows", ""),
        (EVALUATED, "evaluating",
         "The gate decides: version 1 against base: rouge_l 0.5 (+0.3)", ""),
        ([*TRAINING, TRAINED, REGISTERED, UNSCORED], "failed",
         "Evaluation of v1 failed: no holdout rows", "headrace logs evaluator"),
        ([*EVALUATED, APPROVED], "canary", "v1 passed the gate: its canary starts", ""),
        ([*EVALUATED, REJECTED], "refused",
         "v1 stopped at the gate: rouge_l is below its margin; base stays in production",
         "headrace models show docs 1"),
        ([*EVALUATED, APPROVED, CANARY], "canary", "Canary v1 at 25 %: waiting for requests", ""),
        ([*EVALUATED, APPROVED, CANARY, UNDONE, SLOW], "refused",
         "v1 failed its canary: the canary was slow; base stays in production",
         "headrace models show docs 1"),
        ([*EVALUATED, APPROVED, PROMOTED], "serving",
         "v1 is in production: waiting for feedback to turn again", ""),
        ([*EVALUATED, APPROVED, PROMOTED, BACK], "serving",
         "base is in production: rolled back, version 1 back to base: answers were wrong", ""),
        ([*EVALUATED, APPROVED, PROMOTED, KNOWN], "serving",
         "v1 is in production: nothing new since version 1", ""),
    ],
)  # fmt: skip
def test_each_stage_says_why(told: list[EventData], stage: str, sentence: str, step: str) -> None:
    found = now(*told)
    assert (found.stage, found.sentence) == (stage, sentence)
    assert step in found.step
    assert bool(found.step) == bool(step)
    assert found.since is not None
    assert found.next


def test_a_manifest_without_a_source_waits_for_data() -> None:
    bare = MANIFEST.model_copy(update={"spec": type(MANIFEST.spec)()})
    loop = loops_of(APPLIED).by_name["docs"]
    found = state(loop, bare, START)
    assert found.stage == "waiting"
    assert "names no source" in found.sentence
    assert found.step


def test_a_canary_counts_its_requests_and_says_since_when_none_came() -> None:
    told = [*EVALUATED, APPROVED, CANARY]
    last = START + timedelta(minutes=len(told), seconds=-5)
    few = Standing(3, 10, waits=True, reason="candidate 3 of 10 requests, incumbent 7 of 5",
                   last_request=last)  # fmt: skip
    found = now(*told, standing=few)
    assert found.sentence == ("Canary v1 at 25 %: candidate 3 of 10 requests, incumbent 7 of 5")
    assert found.progress == 0.3
    assert not found.step
    idle = Standing(3, 10, True, few.reason, last - timedelta(minutes=12))
    # The step itself began a minute ago: idle since then, not since before it.
    found = now(*told, standing=idle)
    assert found.detail.endswith("without traffic since 1 min")
    assert "about 28 the candidate gets the 7" in found.step
    assert 'headrace ask docs "…"' in found.step


def test_a_service_that_is_down_is_named() -> None:
    found = now(APPLIED, LANDED, services={"data-quality": "down", "trainer": "down"})
    assert found.sentence.endswith("; data-quality is down")
    assert "headrace logs data-quality" in found.step


def test_what_was_refused_is_told_beside_what_is_under_way() -> None:
    told = [APPLIED, LANDED, CURATED, STARTED, UNREAD]
    assert now(*told).stage == "training"
    loops = loops_of(*told)
    (trouble,) = troubles(loops.by_name["docs"])
    assert trouble.text == "source refused: file:rows.csv: missing column `label`"
    assert trouble.step


def test_another_source_that_lands_does_not_hide_the_refused_one() -> None:
    other = LANDED.model_copy(update={"source": "file:other.csv"})
    loop = loops_of(APPLIED, UNREAD, other).by_name["docs"]
    assert loop.source_problem
    assert loops_of(APPLIED, UNREAD, LANDED).by_name["docs"].source_problem is None


def test_a_new_manifest_forgets_what_sources_of_the_old_one_did() -> None:
    changed = WorkloadApplied(revision="other", manifest=MANIFEST)
    assert loops_of(APPLIED, UNREAD, changed).by_name["docs"].source_problem is None
    # The same manifest again reads no source that did not change.
    assert loops_of(APPLIED, UNREAD, APPLIED).by_name["docs"].source_problem


def test_decisions_are_kept_with_their_reasons_and_what_was_reached_with_its_time() -> None:
    loop = loops_of(*EVALUATED, APPROVED, PROMOTED, BACK).by_name["docs"]
    kinds = [one.event for one in loop.decisions]
    assert kinds == ["model.approved", "model.promoted", "model.rolled_back"]
    assert "answers were wrong" in loop.decisions[-1].text
    assert loop.trace_id == "trace9"
    times = reached(loop)
    assert times["landed"] == START + timedelta(minutes=1)
    assert times["promoted"] == START + timedelta(minutes=8)
    assert list(reached(loops_of(APPLIED, LANDED).by_name["docs"])) == ["landed"]
