"""The circle on the real stack: a small set, few steps, every event real."""

import json
from urllib.request import urlopen

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from headrace_events.topics import CATALOGUE
from headrace_stack.testing import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def get(stack: RunningStack, path: str):
    with urlopen(stack.base_url + path, timeout=30) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def demo(stack: RunningStack):
    """Run the small demo once; it leaves the stack up."""
    return stack.headrace("demo", "--small", timeout=800)


def test_the_loop_turns_twice_and_the_demo_says_so(demo) -> None:
    assert demo.returncode == 0, demo.stdout[-6000:] + demo.stderr[-2000:]
    for event in (
        "records.landed.v1",
        "dataset.curated.v1",
        "training.completed.v1",
        "model.registered.v1",
        "evaluation.completed.v1",
        "model.approved.v1",
        "rollout.started.v1",
        "canary.judged.v1",
        "rollout.finished.v1",
        "model.promoted.v1",
    ):
        assert event in demo.stdout
    assert "turn 2" in demo.stdout
    assert "What the loop decided" in demo.stdout
    assert "Three questions" in demo.stdout


def test_each_stage_started_on_the_event_of_the_one_before(demo, stack) -> None:
    tail = stack.headrace(
        "events", "tail", "--from-beginning", "--no-follow", "--json", "--workload", "python-docs"
    )
    assert tail.returncode == 0, tail.stderr
    events = [json.loads(line) for line in tail.stdout.splitlines()]
    by_id = {e["id"]: e for e in events}
    causes = {
        (by_id[e["causationid"]]["type"], e["type"])
        for e in events
        if e.get("causationid") in by_id
    }
    for pair in (
        ("workload.applied.v1", "records.landed.v1"),
        ("records.landed.v1", "dataset.curated.v1"),
        ("dataset.curated.v1", "training.completed.v1"),
        ("training.completed.v1", "model.registered.v1"),
        ("model.registered.v1", "evaluation.completed.v1"),
        ("evaluation.completed.v1", "model.approved.v1"),
        ("model.approved.v1", "rollout.started.v1"),
        ("rollout.finished.v1", "model.promoted.v1"),
    ):
        assert pair in causes, f"{pair} not among {sorted(causes)}"


def test_the_second_turn_came_from_captured_traffic(demo, stack) -> None:
    records = get(stack, "/records/python-docs")["data"]
    assert {r["source"] for r in records} == {"python_docs", "traffic"}


async def test_nothing_was_dead_lettered(demo, stack) -> None:
    partitions = [
        TopicPartition(topic.name, partition)
        for topic in CATALOGUE
        if topic.name.startswith("headrace.dlq.")
        for partition in range(topic.partitions)
    ]
    reader = AIOKafkaConsumer(bootstrap_servers=stack.status()["kafka"])
    await reader.start()
    reader.assign(partitions)
    ends = await reader.end_offsets(partitions)
    await reader.stop()
    assert {p.topic: n for p, n in ends.items() if n} == {}


def test_applying_the_same_manifest_again_changes_nothing(demo, stack, tmp_path) -> None:
    before = get(stack, "/records/python-docs")["data"]
    manifest = stack.headrace("demo", "--small", "--print-manifest")
    assert manifest.returncode == 0, manifest.stderr
    file = tmp_path / "workload.yaml"
    file.write_text(manifest.stdout)
    applied = stack.headrace("apply", "-f", str(file))
    assert applied.returncode == 0, applied.stderr
    assert get(stack, "/records/python-docs")["data"] == before
