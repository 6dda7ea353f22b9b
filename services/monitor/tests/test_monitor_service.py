"""The monitor as a process, on a real Kafka: judged once, counted once, killed and back."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from headrace_events import Event, parse, topics
from headrace_events.monitoring import DriftDetected
from headrace_events.rollout import CanaryJudged

pytestmark = pytest.mark.integration

CANARY = {"canary": {"steps": [20, 50], "min_requests": 20}}


async def published(
    bootstrap: str, topic: str, model: type[Any], workload: str
) -> list[Event[Any]]:
    """Return all events of a type and a workload that lie on a topic now."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = await _assigned(consumer, topic)
        ends = await consumer.end_offsets(partitions)
        found: list[Event[Any]] = []
        while any([await consumer.position(p) < ends[p] for p in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    raw = parse(dict(record.headers), record.value)
                    if raw.type == model.TYPE:
                        found.append(raw.load(model))
    finally:
        await consumer.stop()
    return [event for event in found if event.workload == workload]


async def _assigned(consumer: AIOKafkaConsumer, topic: str) -> list[Any]:
    from aiokafka import TopicPartition

    numbers = consumer.partitions_for_topic(topic) or {0}
    partitions = [TopicPartition(topic, number) for number in numbers]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    return partitions


def workload_of(state: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next((w for w in state["workloads"] if w["name"] == name), {})
    return found


async def test_a_canary_is_judged_once_per_step_over_kills_and_repeats(
    monitor: Any, make_story: Callable[..., Any], kafka: str
) -> None:
    async with make_story("judged", kafka, serve=CANARY) as story:
        await story.applied()
        await story.evaluated("1", "base", 0.3)
        rollout_id = await story.canary("1", "base")
        await asyncio.to_thread(
            monitor.wait_for,
            "/console/state",
            lambda s: (workload_of(s, "judged").get("rollout") or {}).get("live"),
        )
        first = [story.completed("1", "canary", latency_ms=100) for _ in range(12)]
        first += [story.completed("base", "base", latency_ms=100) for _ in range(260)]
        await story.requests(first)
        await asyncio.to_thread(
            monitor.wait_for,
            "/console/state",
            lambda s: workload_of(s, "judged")["rollout"]["live"]["candidate"]["requests"] == 12,
        )
        monitor.kill()
        # The same events again, as after a producer's kill: nothing of it may count twice.
        await story.requests(first)
        await asyncio.to_thread(monitor.start)
        await asyncio.sleep(3)
        state = await asyncio.to_thread(monitor.get, "/console/state")
        live = workload_of(state, "judged")["rollout"]["live"]
        assert (live["candidate"]["requests"], live["incumbent"]["requests"]) == (12, 260)
        assert live["verdict"] == "wait"
        rest = [story.completed("1", "canary", latency_ms=100) for _ in range(58)]
        await story.requests(rest)
        state = await asyncio.to_thread(
            monitor.wait_for,
            "/console/state",
            lambda s: workload_of(s, "judged")["rollout"]["judgements"],
        )
        monitor.kill()
        await asyncio.to_thread(monitor.start)
        await asyncio.sleep(3)
        judged = await published(kafka, topics.JUDGEMENTS, CanaryJudged, "judged")
        assert [(e.data.rollout_id, e.data.step, e.data.verdict) for e in judged] == [
            (rollout_id, 0, "advance")
        ]
        assert judged[0].data.candidate.requests == 70
        assert judged[0].causationid == story.last.id
        windows = (await asyncio.to_thread(monitor.get, "/metrics-api/windows"))["windows"]
        counted = {w["version"]: w["requests"] for w in windows if w["workload"] == "judged"}
        assert counted == {"1": 70, "base": 260}

        await story.stepped("1", 1)
        await asyncio.to_thread(
            monitor.wait_for,
            "/console/state",
            lambda s: workload_of(s, "judged")["rollout"]["step"] == 1,
        )
        await story.requests(
            [story.failed("1", "canary") for _ in range(20)]
            + [story.completed("base", "base") for _ in range(30)]
        )
        await asyncio.to_thread(
            monitor.wait_for,
            "/console/state",
            lambda s: len(workload_of(s, "judged")["rollout"]["judgements"]) == 2,
        )
        judged = await published(kafka, topics.JUDGEMENTS, CanaryJudged, "judged")
        assert [e.data.verdict for e in judged] == ["advance", "fail"]
        assert "requests failed" in judged[1].data.reason or "errors" in judged[1].data.reason


async def test_feedback_counts_once_also_when_it_comes_first(
    monitor: Any, make_story: Callable[..., Any], kafka: str
) -> None:
    async with make_story("rated", kafka) as story:
        await story.applied()
        early, late = story.completed("1", "production"), story.completed("1", "production")
        await story.rated(early.data.request_id, 1)
        await asyncio.sleep(1)
        await story.requests([early, late, early])
        await story.rated(late.data.request_id, 1)
        await story.rated(late.data.request_id, -1)

        def counted(body: Any) -> bool:
            found = [w for w in body["windows"] if w["workload"] == "rated"]
            return [(w["requests"], w["ratings"], w["rating_mean"]) for w in found] == [(2, 2, 0.0)]

        await asyncio.to_thread(monitor.wait_for, "/metrics-api/windows", counted)
        metrics = await asyncio.to_thread(monitor.text, "/metrics")
        series = 'arm="production",outcome="ok",version="1",workload="rated"'
        assert f"headrace_requests_total{{{series}}} 2.0" in metrics


async def test_drift_is_told_once_and_an_objective_is_raised_and_audited(
    monitor: Any, make_story: Callable[..., Any], kafka: str
) -> None:
    spec = {"drift": {"window": 40, "threshold": 0.25}, "slo": {"p95_ms": 1000}}
    async with make_story("watched", kafka, monitor=spec) as story:
        await story.applied()
        other = [f"egészen{i}" for i in range(20)]
        for words in ((), (), other, other):
            await story.requests(
                [
                    story.completed("1", "production", latency_ms=3000, words=words)
                    for _ in range(40)
                ]
            )
            await asyncio.sleep(0.5)
        body = await asyncio.to_thread(
            monitor.wait_for,
            "/alerts?workload=watched",
            lambda b: {a["name"] for a in b["data"]} == {"drift/input", "slo/p95_ms/1"},
            60,
        )
        assert all(a["resolved_at"] is None for a in body["data"])
        found = await published(kafka, topics.ALERTS, DriftDetected, "watched")
        assert len(found) == 1
        assert found[0].data.value > found[0].data.threshold >= 0.25

        audit = await asyncio.to_thread(
            monitor.wait_for,
            "/audit?workload=watched",
            lambda b: (
                {"drift.detected", "slo.breached", "alert.raised"}
                <= {e["type"] for e in b["newest"]}
            ),
        )
        assert audit["intact"]
        with sqlite3.connect(monitor.database, timeout=30) as database:
            (position,) = database.execute(
                "select position from audit where type = 'slo.breached.v1'"
            ).fetchone()
            database.execute(
                "update audit set summary = 'nothing happened' where position = ?", (position,)
            )
        # A check is not begun anew at once: who asks all the time must not keep a core busy.
        broken = await asyncio.to_thread(
            monitor.wait_for, "/audit?limit=0", lambda b: b["intact"] is False
        )
        assert broken["broken_at"] == position


async def test_no_text_of_users_reaches_the_database_or_the_log(
    monitor: Any, make_story: Callable[..., Any], kafka: str
) -> None:
    async with make_story("private", kafka) as story:
        await story.applied()
        await story.requests([story.completed("1", "production", words=("gyöngyhalászat",))])
        await asyncio.to_thread(
            monitor.wait_for,
            "/metrics-api/windows",
            lambda b: any(w["workload"] == "private" for w in b["windows"]),
        )
        await asyncio.to_thread(monitor.stop)
        for file in monitor.database.parent.iterdir():
            assert "gyöngyhalászat".encode() not in file.read_bytes(), file.name
        await asyncio.to_thread(monitor.start)


async def test_unknown_parameters_are_refused_with_the_field(monitor: Any) -> None:
    import urllib.error

    with pytest.raises(urllib.error.HTTPError) as refused:
        await asyncio.to_thread(monitor.get, "/metrics-api/windows?seconds=1")
    assert refused.value.code == 400
    assert "seconds" in refused.value.read().decode()
