"""Control events become the state of the loop, in whatever order their topics are read."""

import itertools
from typing import Any

from headrace_events import Event, catalogue, topics
from headrace_events.data import DatasetCurated, RecordsLanded
from headrace_events.models import ModelPromoted, ModelRegistered
from headrace_events.references import DatasetRef, ModelRef, TableRef
from headrace_events.rollout import (
    PromotionRequested,
    RetirementRequested,
    RollbackRequested,
    RolloutStarted,
)
from headrace_events.sentences import summary
from headrace_events.training import TrainingProgressed, TrainingStarted
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_monitor.console import edges
from headrace_monitor.core.entries import entry, facts
from headrace_monitor.core.projection import Loops
from headrace_monitor.events import CONTROL_EVENTS

TABLE = TableRef(uri="file:///t", version=1)
DATASET = DatasetRef(version=1, table=TABLE, digest="d", train_rows=90, holdout_rows=10)
BASE = ModelRef(name="docs", version="base", base="smollm2")
MODEL = ModelRef(name="docs", version="1", base="smollm2")

STEPS: list[Any] = [
    RecordsLanded(batch_id="b1", table=TABLE, rows=120, source="python_docs"),
    DatasetCurated(dataset=DATASET, batches=("b1",), sources=("python_docs",), rejects={"x": 20}),
    ModelRegistered(model=MODEL, incumbent=BASE, dataset=DATASET, run_id="r", metrics={}),
    RolloutStarted(
        rollout_id="r1", candidate=MODEL, incumbent=BASE, step=0, weight=20, steps=(20, 50)
    ),
    ModelPromoted(model=MODEL, previous=BASE),
]


def told() -> list[Event[Any]]:
    events: list[Event[Any]] = []
    for data in STEPS:
        cause = events[-1] if events else None
        events.append(Event.new(data, source="test", workload="docs", cause=cause))
    return events


def test_the_turn_is_the_same_in_any_order_of_topics() -> None:
    events = told()
    for order in itertools.permutations(events):
        loops = Loops()
        for event in order:
            loops.add(entry(event, None))
        loop = loops.by_name["docs"]
        marks = [mark.stage for mark in loop.turns[1].marks]
        assert marks == ["landed", "curated", "registered", "canary", "finished"]
        assert loop.turns[1].model == "1"
        assert loop.models["1"].status == "production"
        assert loop.production == "1"
        assert not loop.waiting


def test_a_resumed_training_replaces_the_losses_it_repeats() -> None:
    loops = Loops()
    started = TrainingStarted(job_id="j", base="b", dataset=DATASET, steps=40)
    steps: list[Any] = [started] + [
        TrainingProgressed(job_id="j", step=s, steps=40, loss=1.0, tokens_per_second=1.0)
        for s in (10, 20, 30)
    ]
    steps.append(started.model_copy(update={"resumed_at_step": 20}))
    steps.append(TrainingProgressed(job_id="j", step=30, steps=40, loss=0.5, tokens_per_second=1.0))
    for data in steps:
        loops.add(entry(Event.new(data, source="trainer", workload="docs"), None))
    training = loops.by_name["docs"].training
    assert training and training.losses == [(10, 1.0), (20, 1.0), (30, 0.5)]
    assert training.resumed_at_step == 20


def test_the_teams_system_message_is_not_kept() -> None:
    manifest = Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": "docs"},
            "spec": {"system": "You are a secret"},
        }
    )
    applied = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
    assert "secret" not in str(facts(applied))


def test_every_control_type_of_the_outcome_topics_is_audited() -> None:
    requests = {topics.EVALUATION_REQUESTS, topics.JOBS}
    hot = {name for name in topics.BY_NAME if "inference" in name} | {
        topics.FEEDBACK,
        topics.GUARDRAILS,
    }
    expected = {
        kind for kind, model in catalogue.EVENT_TYPES.items() if model.TOPIC not in hot | requests
    }
    assert {model.TYPE for model in CONTROL_EVENTS} == expected


def test_the_catalogue_lets_the_monitor_read_what_it_reads() -> None:
    for model in CONTROL_EVENTS:
        assert "monitor" in topics.BY_NAME[model.TOPIC].consumers, model.TOPIC


def test_the_picture_follows_the_catalogue() -> None:
    for kind, (source, targets) in edges.EDGES.items():
        topic = topics.BY_NAME[catalogue.EVENT_TYPES[f"{kind}.v1"].TOPIC]
        assert source in topic.producers, kind
        assert set(targets) <= set(topic.consumers), kind


def test_what_people_ask_of_versions_says_who_and_why() -> None:
    back = RollbackRequested(reason="complaints", to="base", operator="anna")
    assert summary(back) == "anna asks to roll back to the base: complaints"
    assert summary(RollbackRequested(reason="slow")) == "somebody asks to roll back: slow"
    again = PromotionRequested(version="1", reason="it was the disk", operator="anna")
    assert summary(again) == "anna asks to promote version 1: it was the disk"
    gone = RetirementRequested(version="1", reason="bad rows", operator="anna")
    assert summary(gone) == "anna asks to retire version 1: bad rows"
    taken = ModelPromoted(model=MODEL, previous=BASE, reason="it was the disk")
    assert summary(taken) == "version 1 takes over from base: it was the disk"
