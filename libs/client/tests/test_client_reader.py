"""The client's reader on a real Kafka: junk among the outcomes, and its own death."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from headrace_client.errors import ConnectionLost
from headrace_client.outcomes import Outcomes
from headrace_events import Event, new_id, topics
from headrace_events.inference import InferenceRejected
from headrace_stack.testing import running_kafka

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kafka of this module's own: other tests read outcomes from their beginning."""
    home: Path = tmp_path_factory.mktemp("junk")
    with running_kafka(home) as bootstrap:
        yield bootstrap


@pytest.fixture
async def outcomes(kafka: str):
    found = Outcomes(kafka)
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def producer(kafka: str):
    async with AIOKafkaProducer(bootstrap_servers=kafka) as found:
        yield found


async def answer(
    producer: AIOKafkaProducer, request_id: str, topic: str = topics.INFERENCE_COMPLETED
) -> None:
    data = InferenceRejected(
        request_id=request_id, reason="overloaded", detail="d", stage="serving"
    )
    event: Event[Any] = Event.new(data, source="t", workload="w", subject=request_id)
    headers = [(k, v.encode()) for k, v in event.headers().items()]
    await producer.send_and_wait(topic, event.body(), b"k", headers=headers)


JUNK: list[list[tuple[str, bytes | None]]] = [
    [],
    [("ce_subject", None)],
    [("ce_subject", b"\xff\xfe")],
    [("ce_subject", b"ID"), ("ce_type", None), ("app", b"\xff")],
    [("ce_subject", b"ID"), ("content-type", b"application/cloudevents+json")],
]


async def test_no_junk_ends_the_reading(outcomes, producer) -> None:
    request_id = new_id()
    waiting = outcomes.expect(request_id)
    for value in (b"{", b"[" * 100_000, None):
        for headers in JUNK:
            mine = [(k, request_id.encode() if v == b"ID" else v) for k, v in headers]
            await producer.send_and_wait(topics.INFERENCE_COMPLETED, value, b"k", headers=mine)
    await answer(producer, request_id)
    outcome = await asyncio.wait_for(waiting.outcome, 20)
    assert outcome.request_id == request_id


async def test_an_outcome_counts_on_its_own_topic_only(outcomes, producer) -> None:
    request_id = new_id()
    waiting = outcomes.expect(request_id)
    await answer(producer, request_id, topics.INFERENCE_PARTS)
    await asyncio.sleep(1.0)
    assert not waiting.outcome.done()


async def test_when_the_reading_ends_who_waits_hears_it_and_the_next_call_works(
    outcomes, producer
) -> None:
    waiting = outcomes.expect(new_id())
    first = outcomes._consumer

    async def dies(**_: Any) -> Any:
        raise RuntimeError("the handler is closed")

    first.getmany = dies
    with pytest.raises(ConnectionLost, match="asking again is safe"):
        await asyncio.wait_for(waiting.outcome, 10)
    # Who asks meanwhile is told too, and who asks then gets an answer: none waits in vain.
    async with asyncio.timeout(30):
        while True:
            request_id = new_id()
            later = outcomes.expect(request_id)
            await answer(producer, request_id)
            try:
                outcome = await asyncio.wait_for(later.outcome, 10)
            except ConnectionLost:
                continue
            assert outcome.request_id == request_id
            return


async def test_a_cancellation_that_aiokafka_lets_out_does_not_end_the_reading(
    outcomes, producer
) -> None:
    waiting = outcomes.expect(new_id())

    async def cancelled(**_: Any) -> Any:
        raise asyncio.CancelledError

    outcomes._consumer.getmany = cancelled
    with pytest.raises(ConnectionLost, match="asking again is safe"):
        await asyncio.wait_for(waiting.outcome, 10)
    assert outcomes._task is not None and not outcomes._task.done()


async def test_a_consumer_that_hangs_in_its_stop_keeps_nobody(outcomes) -> None:
    """Closed at any moment of it: the reading is between two consumers then."""
    stopping, stop = asyncio.Event(), outcomes._consumer.stop

    async def hangs() -> None:
        stopping.set()
        await asyncio.sleep(3600)

    async def dies(**_: Any) -> Any:
        raise RuntimeError

    outcomes._consumer.getmany, outcomes._consumer.stop = dies, hangs
    await asyncio.wait_for(stopping.wait(), 10)
    closing = asyncio.create_task(outcomes.stop())
    # Not wait_for: its own cancellation would end what hangs.
    done, _ = await asyncio.wait([closing], timeout=25)
    assert done
    await stop()
