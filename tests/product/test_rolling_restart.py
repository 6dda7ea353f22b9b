"""Two instances restarted one after another under load: none lost, none twice, no rebalance."""

import asyncio
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from headrace_events import Event, new_id, topics
from headrace_events.inference import InferenceRequested, Message

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]

WORKLOAD = "rolling"
PER_SECOND = 25
# More than a process needs to start on busy cores.
SESSION = {"HEADRACE_KAFKA__SESSION_TIMEOUT_MS": "240000", "HEADRACE_HTTP__GRACE_SECONDS": "1"}


@pytest.fixture
def two(circuit: Any) -> list[str]:
    """Two instances of guardrails that share the partitions."""
    circuit.apply(WORKLOAD)
    circuit.stop("guardrails-0")
    circuit.start("guardrails-0", wait=False, **SESSION)
    circuit.start("guardrails-1", wait=False, **SESSION)
    for instance in ("guardrails-0", "guardrails-1"):
        circuit.wait_for(instance)
    time.sleep(2)  # the second one's joining moves partitions: let it be over
    # Both stay: a static member that went away would keep its partitions for the whole session.
    return ["guardrails-0", "guardrails-1"]


def request(request_id: str) -> Event[Any]:
    return Event[Any].new(
        InferenceRequested(
            request_id=request_id, messages=(Message(role="user", content="rolling"),)
        ),
        source="test",
        workload=WORKLOAD,
        subject=request_id,
        deadline=datetime.now(UTC) + timedelta(minutes=10),
    )


async def load(producer: AIOKafkaProducer, sent: list[str], stop: asyncio.Event) -> None:
    while not stop.is_set():
        event = request(new_id())
        headers = [(k, v.encode()) for k, v in event.headers().items()]
        await producer.send_and_wait(
            event.topic, event.body(), event.subject.encode(), headers=headers
        )
        sent.append(event.subject)
        await asyncio.sleep(1 / PER_SECOND)


async def admitted(kafka: str, starts: dict[TopicPartition, int], ids: set[str]) -> Counter[str]:
    """How often each request was admitted, once every one of them was."""
    found: Counter[str] = Counter()
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    consumer.assign(list(starts))
    for partition, offset in starts.items():
        consumer.seek(partition, offset)
    quiet_since = time.monotonic()
    until = quiet_since + 90
    # Two seconds more than the last one took: a repeat would come in that time.
    while time.monotonic() < until and (ids - found.keys() or time.monotonic() < quiet_since + 2):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                quiet_since = time.monotonic()
                subject = dict(record.headers)["ce_subject"].decode()
                if subject in ids:
                    found[subject] += 1
    await consumer.stop()
    return found


async def ends(kafka: str, topic: str) -> dict[TopicPartition, int]:
    partitions = [TopicPartition(topic, p) for p in range(topics.BY_NAME[topic].partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    consumer.assign(partitions)
    found = await consumer.end_offsets(partitions)
    await asyncio.sleep(0.05)
    await consumer.stop()
    return dict(found)


async def test_restarted_one_after_another_nothing_is_lost_or_done_twice(
    circuit: Any, two: list[str]
) -> None:
    starts = await ends(circuit.kafka, topics.INFERENCE_ADMITTED)
    sent: list[str] = []
    stop = asyncio.Event()
    seen_not_ready: dict[str, bool] = {}
    async with AIOKafkaProducer(bootstrap_servers=circuit.kafka) as producer:
        loading = asyncio.create_task(load(producer, sent, stop))
        await asyncio.sleep(2)
        for instance, other in ((two[0], two[1]), (two[1], two[0])):
            before = circuit.metric(other, "headrace_group_rebalances_total")
            process = circuit.running[instance]
            process.send_signal(signal.SIGTERM)
            answers = set()
            while process.poll() is None:
                answers.add(await asyncio.to_thread(circuit.status_of, instance))
                await asyncio.sleep(0.05)
            seen_not_ready[instance] = 503 in answers
            assert "not finished" not in circuit.log(instance)
            circuit.running.pop(instance)
            await asyncio.to_thread(circuit.start, instance, **SESSION)
            await asyncio.sleep(1)
            # The other one kept its partitions all along: the group's generation is what it was.
            assert circuit.metric(other, "headrace_group_rebalances_total") == before
        stop.set()
        await loading
    counts = await admitted(circuit.kafka, starts, set(sent))
    assert set(sent) - counts.keys() == set(), "lost"
    assert {i: n for i, n in counts.items() if n > 1} == {}, "twice"
    assert seen_not_ready == {two[0]: True, two[1]: True}
    assert len(sent) > PER_SECOND
