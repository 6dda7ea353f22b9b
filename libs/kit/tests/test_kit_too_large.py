"""Outcomes that are too large to be events: final, and answered."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from headrace_events import Event, new_id, topics
from headrace_events.data import RecordsRejected
from headrace_events.inference import (
    InferenceAdmitted,
    InferenceCompleted,
    InferenceRejected,
    InferenceRequested,
    Message,
)
from headrace_kafka import Consumer
from headrace_kit import Service
from headrace_kit.too_large import too_large

pytestmark = pytest.mark.integration


def request(workload: str, text: str) -> Event[Any]:
    data = InferenceRequested(
        request_id=new_id(), messages=(Message(role="user", content=text),), max_tokens=1
    )
    return Event.new(data, source="t", workload=workload, subject=data.request_id)


async def test_a_request_that_grows_too_large_is_rejected_at_once(kafka, settings_for) -> None:
    workload, calls = new_id(), []

    async def admit(events: list[Event[Any]]) -> list[Event[Any]]:
        # What other tests left in the topic is handed over too.
        calls.extend([len(events)] * any(e.workload == workload for e in events))
        return [
            Event.new(
                InferenceAdmitted(request=e.data, received_at=0.0),
                source="t",
                workload=e.workload,
                subject=e.subject,
                cause=e,
            )
            for e in events
        ]

    settings = settings_for()
    settings.kafka.retry_backoff_seconds = (20.0,)
    service = Service("guardrails", settings)
    service.stream(
        f"s-{workload}", [InferenceRequested], admit, refuse=too_large("guardrails", "input")
    )
    large, small = request(workload, "x" * 1_050_000), request(workload, "hi")
    reader = Consumer(
        topics.INFERENCE_COMPLETED,
        topics.INFERENCE_ADMITTED,
        topics.dlq("guardrails"),
        bootstrap_servers=kafka,
        auto_offset_reset="latest",
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, compression_type="gzip", max_request_size=4_000_000
    )
    async with reader, producer:
        for partition in reader.assignment():
            await reader.position(partition)
        async with service.running():
            for event in (large, small):
                headers = [(k, v.encode()) for k, v in event.headers().items()]
                await producer.send_and_wait(
                    event.topic, event.body(), b"k", partition=0, headers=headers
                )
            found: list[Any] = []
            mine = ("ce_workload", workload.encode())
            async with asyncio.timeout(15):  # without the waits between attempts
                while len(found) < 2:
                    for batch in (await reader.getmany(timeout_ms=200)).values():
                        found += [r for r in batch if mine in r.headers]
    kinds = {dict(r.headers)["ce_subject"].decode(): dict(r.headers)["ce_type"] for r in found}
    assert kinds == {
        large.subject: InferenceRejected.TYPE.encode(),
        small.subject: InferenceAdmitted.TYPE.encode(),
    }
    (rejected,) = (r for r in found if r.topic == topics.INFERENCE_COMPLETED)
    answer = InferenceRejected.model_validate_json(rejected.value)
    assert (answer.reason, answer.request_id) == ("invalid_request", large.subject)
    assert len(calls) <= 4


async def test_a_control_event_too_large_to_emit_is_not_tried_again(kafka, settings_for) -> None:
    workload, calls, good = new_id(), [], asyncio.Event()

    async def emits(event: Any, uow: Any) -> None:
        if event.workload != workload:
            return
        if event.data.reason == "good":
            good.set()
            return
        calls.append(1)
        uow.emit(RecordsRejected(source="s", reason="x" * 1_100_000))

    settings = settings_for()
    settings.kafka.retry_backoff_seconds = (30.0,)
    service = Service("data-quality", settings)
    service.on(RecordsRejected, emits)
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer, service.running():
        for reason in ("large", "good"):
            event: Event[Any] = Event.new(
                RecordsRejected(source="s", reason=reason), source="t", workload=workload
            )
            headers = [(k, v.encode()) for k, v in event.headers().items()]
            await producer.send_and_wait(event.topic, event.body(), b"k", headers=headers)
        await asyncio.wait_for(good.wait(), 20)
    assert calls == [1]


def test_a_part_is_dropped_and_any_other_is_rejected() -> None:
    refuse = too_large("serving", "serving")
    event = request("w", "hi")
    (rejected,) = refuse(event)
    assert rejected.causationid == event.id and rejected.subject == event.subject
    assert rejected.topic == InferenceCompleted.TOPIC
