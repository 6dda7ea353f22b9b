"""The client on a real Kafka; the test itself answers in the services' stead."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from headrace_client import (
    ConnectionLost,
    HeadraceClient,
    Rejected,
    Timeout,
    UnknownWorkload,
    Unreachable,
)
from headrace_events import Event, EventData, parse, topics
from headrace_events.inference import (
    FeedbackGiven,
    InferenceCancelRequested,
    InferenceCompleted,
    InferencePartCompleted,
    InferenceRejected,
    InferenceRequested,
    Message,
    Usage,
)
from headrace_stack.kafka import EmbeddedKafka, create_topics

pytestmark = pytest.mark.integration
Reply = Callable[[Event[Any]], list[EventData]]


def completed(event: Event[Any], text: str) -> InferenceCompleted:
    return InferenceCompleted(
        request_id=event.data.request_id,
        messages=event.data.messages,
        text=text,
        model=event.workload,
        model_version="7",
        arm="canary",
        finish_reason="stop",
        usage=Usage(input_tokens=1, output_tokens=1),
        latency_ms=1.0,
    )


@pytest.fixture
async def answering(kafka: str) -> AsyncIterator[Callable[[Reply], Awaitable[list[Event[Any]]]]]:
    """Give `start(reply)`: answers requests with `reply(event)`; returns the list of requests."""
    tasks: list[asyncio.Task[None]] = []
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    consumer = AIOKafkaConsumer(
        topics.INFERENCE_REQUESTS, bootstrap_servers=kafka, auto_offset_reset="latest"
    )
    await producer.start()
    await consumer.start()
    for partition in consumer.assignment():
        await consumer.position(partition)

    async def serve(reply: Reply, seen: list[Event[Any]]) -> None:
        async for record in consumer:
            event: Event[Any] = parse(dict(record.headers), record.value).load(InferenceRequested)
            seen.append(event)
            for number, data in enumerate(reply(event)):
                outcome = Event[Any].new(
                    data,
                    source="test",
                    workload=event.workload,
                    subject=event.subject,
                    cause=event,
                    discriminator=str(number),
                )
                await producer.send_and_wait(
                    outcome.topic,
                    outcome.body(),
                    outcome.subject.encode(),
                    headers=[(k, v.encode()) for k, v in outcome.headers().items()],
                )

    async def start(reply: Reply) -> list[Event[Any]]:
        seen: list[Event[Any]] = []
        tasks.append(asyncio.create_task(serve(reply, seen)))
        return seen

    yield start
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await consumer.stop()
    await producer.stop()


async def test_two_clients_get_their_own_answers_at_once(kafka: str, answering: Any) -> None:
    seen = await answering(lambda e: [completed(e, e.data.messages[0].content.upper())] * 2)
    async with HeadraceClient(kafka) as one, HeadraceClient(kafka, name="other") as two:
        answers = await asyncio.gather(
            *(c.chat("docs", f"question {i}", key="k") for i in range(50) for c in (one, two))
        )
    assert [a.text for a in answers] == [f"QUESTION {i}" for i in range(50) for _ in range(2)]
    assert {(a.model_version, a.arm, a.workload) for a in answers} == {("7", "canary", "docs")}
    by_id = {e.subject: e for e in seen}
    for answer in answers:
        event = by_id[answer.request_id]
        assert answer.trace_id == event.traceparent.split("-")[1]
        assert event.data.key == "k"
        assert event.deadline > datetime.now(UTC) + timedelta(seconds=30)


async def test_a_stream_gives_parts_and_the_rest(kafka: str, answering: Any) -> None:
    def reply(event: Event[Any]) -> list[EventData]:
        parts = [
            InferencePartCompleted(request_id=event.subject, index=i, text=t)
            for i, t in enumerate(["one ", "two "])
        ]
        return [*parts, completed(event, "one two three")]

    seen = await answering(reply)
    async with HeadraceClient(kafka) as client:
        # Parts and outcome travel on two topics: the pieces may differ, their sum may not.
        pieces = [piece async for piece in client.stream("docs", "count")]
        stream = await client.open_stream("docs", [{"role": "user", "content": "count"}])
        again = [piece async for piece in stream]
    assert "".join(pieces) == "".join(again) == "one two three"
    assert stream.answer is not None
    assert stream.answer.model_version == "7"
    assert all(event.data.stream for event in seen)


async def test_a_rejection_is_an_error_with_its_reason(kafka: str, answering: Any) -> None:
    def reply(event: Event[Any]) -> list[EventData]:
        return [
            InferenceRejected(
                request_id=event.subject,
                reason="unknown_workload",
                detail="no such workload",
                stage="input",
            )
        ]

    await answering(reply)
    async with HeadraceClient(kafka) as client:
        with pytest.raises(UnknownWorkload, match="no such workload") as caught:
            await client.chat("dosc", "secret words")
        assert caught.value.reason == "unknown_workload"
        assert "secret" not in str(caught.value)
        with pytest.raises(Rejected):
            async for _ in client.stream("dosc", "hi"):
                pytest.fail("there is nothing to give")


async def test_no_outcome_is_a_timeout(kafka: str, answering: Any) -> None:
    await answering(lambda _: [])
    async with HeadraceClient(kafka) as client:
        with pytest.raises(Timeout):
            await client.chat("docs", "hi", timeout=0.3)


async def test_feedback_belongs_to_the_answers_trace(kafka: str, answering: Any) -> None:
    await answering(lambda e: [completed(e, "yes")])
    consumer = AIOKafkaConsumer(topics.FEEDBACK, bootstrap_servers=kafka)
    await consumer.start()
    for partition in consumer.assignment():
        await consumer.position(partition)
    async with HeadraceClient(kafka) as client:
        answer = await client.chat("docs", "is it?", trace=True)
        await client.feedback(answer, rating=-1, correction="no")
        record = await asyncio.wait_for(consumer.getone(), 20)
    await consumer.stop()
    event = parse(dict(record.headers), record.value).load(FeedbackGiven)
    assert event.data == FeedbackGiven(request_id=answer.request_id, rating=-1, correction="no")
    assert event.workload == "docs"
    assert event.traceparent is not None
    assert event.traceparent.split("-")[1] == answer.trace_id


async def test_no_kafka_is_a_clear_error() -> None:
    with pytest.raises(Unreachable, match="localhost:1"):
        async with HeadraceClient("localhost:1"):
            pytest.fail("nobody is there")


async def test_a_request_may_be_cancelled_and_a_time_out_does_it_by_itself(
    kafka: str, answering: Any
) -> None:
    await answering(lambda _: [])
    asked_to = AIOKafkaConsumer(topics.INFERENCE_CANCELLATIONS, bootstrap_servers=kafka)
    await asked_to.start()
    for partition in asked_to.assignment():
        await asked_to.position(partition)
    async with HeadraceClient(kafka) as client:
        pending = await client.submit("docs", "hi")
        await pending.cancel()
        with pytest.raises(Timeout) as caught:
            await client.chat("docs", "hi", timeout=0.3)
        left = asyncio.create_task(client.chat("docs", "hi"))
        await asyncio.sleep(0.3)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        found = {}
        async with asyncio.timeout(20):
            while len(found) < 3:
                record = await asked_to.getone()
                event = parse(dict(record.headers), record.value).load(InferenceCancelRequested)
                found[event.subject] = event.data.reason
    await asked_to.stop()
    assert found.pop(pending.request_id) == "caller"
    assert found.pop(caught.value.request_id) == "timeout"
    assert list(found.values()) == ["caller"]


async def test_high_priority_travels_on_topics_of_its_own(kafka: str) -> None:
    consumer = AIOKafkaConsumer(topics.INFERENCE_REQUESTS_PRIORITY, bootstrap_servers=kafka)
    await consumer.start()
    for partition in consumer.assignment():
        await consumer.position(partition)
    async with HeadraceClient(kafka) as client:
        pending = await client.submit("docs", "hi", priority="high")
        record = await asyncio.wait_for(consumer.getone(), 20)
    await consumer.stop()
    assert record.key.decode() == pending.request_id


async def test_a_client_that_is_closed_leaves_nobody_waiting(kafka: str) -> None:
    client = HeadraceClient(kafka)
    async with client:
        pending = await client.submit("docs", "hi")
        waiting = asyncio.create_task(pending.result())
        await asyncio.sleep(0)
    with pytest.raises(ConnectionLost):
        await waiting


async def test_kafka_restarts_under_a_waiting_client(tmp_path: Path) -> None:
    node = EmbeddedKafka(tmp_path)
    bootstrap = await asyncio.to_thread(node.start)
    try:
        await asyncio.to_thread(create_topics, bootstrap)
        async with HeadraceClient(bootstrap, timeout=120) as client:
            pending = await client.submit("docs", "before")
            await asyncio.to_thread(node.stop)
            asked = asyncio.create_task(client.submit("docs", "while it is away"))
            await asyncio.sleep(1)
            assert await asyncio.to_thread(node.start) == bootstrap
            second = await asked
            async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
                for request_id in (pending.request_id, second.request_id):
                    await producer.send_and_wait(*outcome_record(request_id))
            answers = await asyncio.gather(pending.result(), second.result())
            assert [answer.text for answer in answers] == ["after all"] * 2
    finally:
        await asyncio.to_thread(node.stop)


def outcome_record(request_id: str) -> tuple[str, bytes, bytes, int, None, list[tuple[str, bytes]]]:
    """What guardrails would publish: topic, value, key, partition, timestamp, headers."""
    asked = InferenceRequested(
        request_id=request_id, messages=(Message(role="user", content="hi"),)
    )
    request = Event[Any].new(asked, source="test", workload="docs", subject=request_id)
    event = Event[Any].new(
        completed(request, "after all"),
        source="test",
        workload="docs",
        subject=request_id,
        cause=request,
    )
    headers = [(k, v.encode()) for k, v in event.headers().items()]
    return event.topic, event.body(), request_id.encode(), 0, None, headers
