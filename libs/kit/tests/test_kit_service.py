"""The chassis on a real Kafka: once per event, dead letters with their origin, one trace."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from headrace_events import Event, new_id, topics
from headrace_events.data import DatasetRejected, RecordsRejected
from headrace_events.inference import InferenceAdmitted, InferenceRequested, Message
from headrace_kit import Service

pytestmark = pytest.mark.integration


async def until(condition, seconds: float = 20) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.fixture
async def producer(kafka: str):
    found = AIOKafkaProducer(bootstrap_servers=kafka)
    await found.start()
    yield found
    await found.stop()


async def send(producer: AIOKafkaProducer, event: Event[Any], key: str = "k") -> None:
    headers = [(k, v.encode()) for k, v in event.headers().items()]
    await producer.send_and_wait(event.topic, event.body(), key.encode(), headers=headers)


async def end_offsets(kafka: str, topic: str) -> dict[TopicPartition, int]:
    reader = AIOKafkaConsumer(bootstrap_servers=kafka)
    await reader.start()
    # aiokafka knows no partitions of a topic it is not subscribed to; the catalogue does.
    partitions = [TopicPartition(topic, p) for p in range(topics.BY_NAME[topic].partitions)]
    reader.assign(partitions)
    offsets = await reader.end_offsets(partitions)
    # aiokafka's stop() raises CancelledError when its commit task has not had a turn yet.
    await asyncio.sleep(0.05)
    await reader.stop()
    return dict(offsets)


async def read_from(kafka: str, offsets: dict[TopicPartition, int], count: int) -> list[Any]:
    reader = AIOKafkaConsumer(bootstrap_servers=kafka)
    await reader.start()
    reader.assign(list(offsets))
    for partition, offset in offsets.items():
        reader.seek(partition, offset)
    found: list[Any] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            batches = await reader.getmany(timeout_ms=500)
            found.extend(record for batch in batches.values() for record in batch)
    await reader.stop()
    return found


def rejected(workload: str, reason: str = "r") -> Event[Any]:
    return Event.new(RecordsRejected(source="s", reason=reason), source="test", workload=workload)


async def test_a_repeated_event_takes_effect_once(kafka, producer, settings_for) -> None:
    workload, seen = new_id(), []

    async def handler(event, uow) -> None:
        if event.workload == workload:
            seen.append(event.data.reason)

    service = Service("data-quality", settings_for())
    service.on(RecordsRejected, handler)
    first, last = rejected(workload, "first"), rejected(workload, "last")
    async with service.running():
        for event in (first, first, first, last):
            await send(producer, event)
        await until(lambda: "last" in seen)
    assert seen == ["first", "last"]


async def test_a_handler_that_heals_is_tried_again(kafka, producer, settings_for) -> None:
    workload, tries = new_id(), []

    async def handler(event, uow) -> None:
        if event.workload == workload:
            tries.append(1)
            uow.emit(DatasetRejected(batches=(), reason="made"))
            if len(tries) < 3:
                raise ConnectionError

    service = Service("data-quality", settings_for())
    service.on(RecordsRejected, handler)
    offsets = await end_offsets(kafka, topics.DATASETS)
    async with service.running():
        await send(producer, rejected(workload))
        records = await read_from(kafka, offsets, 1)
    assert len(tries) == 3
    assert len([r for r in records if dict(r.headers)["ce_workload"].decode() == workload]) == 1


async def test_poison_goes_to_the_dead_letters_with_its_origin(
    kafka, producer, settings_for
) -> None:
    workload, seen = new_id(), []

    async def handler(event, uow) -> None:
        if event.workload == workload:
            seen.append(event)

    service = Service("data-quality", settings_for())
    service.on(RecordsRejected, handler)
    dlq = topics.dlq("data-quality")
    offsets = await end_offsets(kafka, dlq)
    good = rejected(workload)
    headers = [(k, v.encode()) for k, v in good.headers().items()]
    poison: list[tuple[bytes | None, list[tuple[str, bytes]]]] = [
        (b"not json", headers),
        (b"{}", headers),
        (b"\xff\xfe", headers),
        (None, headers),
        (good.body(), []),
        (good.body(), [*headers[:-1], ("ce_workload", b"\xff")]),
    ]
    async with service.running():
        for value, head in poison:
            await producer.send_and_wait(topics.RECORDS, value, b"k", headers=head)
        await send(producer, good)
        await until(lambda: seen)
        letters = await read_from(kafka, offsets, len(poison))
    assert len(letters) == len(poison)
    for letter in letters:
        origin = {k: v for k, v in letter.headers if k.startswith("headrace_dlq_")}
        assert origin["headrace_dlq_topic"] == topics.RECORDS.encode()
        assert origin["headrace_dlq_error"] == b"InvalidEvent"
        assert int(origin["headrace_dlq_offset"]) >= 0


async def test_too_many_dead_letters_halt_the_consumer(kafka, producer, settings_for) -> None:
    settings = settings_for()
    settings.kafka.dead_letter_limit = 3
    service = Service("data-quality", settings)

    async def handler(event, uow) -> None:
        raise AssertionError("poison reached the handler")

    service.on(RecordsRejected, handler)
    workload = new_id()
    event = rejected(workload)
    headers = [(k, v.encode()) for k, v in event.headers().items()]
    offsets = await end_offsets(kafka, topics.ALERTS)
    async with service.running():
        for _ in range(5):
            await producer.send_and_wait(topics.RECORDS, b"{}", b"k", headers=headers)
        await until(lambda: not service.readiness()["consuming"])
        # Each of the three letters is told of as well, and the service's start.
        told = [dict(record.headers)["ce_type"] for record in await read_from(kafka, offsets, 5)]
        assert told.count(b"alert.raised.v1") == 1
        assert told.count(b"dead_letter.written.v1") == 3


@pytest.mark.parametrize("where", ["fetches", "rebalance"])
async def test_a_control_consumer_that_stands_still_joins_anew(
    kafka, producer, settings_for, where
) -> None:
    settings = settings_for()
    settings.kafka.silence_seconds = 2.0
    service = Service("data-quality", settings)
    workload, seen = new_id(), []

    async def handler(event, uow) -> None:
        if event.workload == workload:
            seen.append(event.data.reason)

    async def for_ever(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    service.on(RecordsRejected, handler)
    async with service.running():
        await send(producer, rejected(workload, "before"))
        await until(lambda: seen == ["before"])
        (subscriber,) = service.broker.subscribers
        hurt = subscriber.consumer
        if where == "fetches":
            hurt._fetcher._proc_fetch_request = for_ever
        else:
            hurt._coordinator._do_rejoin_group = for_ever
            hurt._coordinator.request_rejoin()
        await asyncio.sleep(0.7)  # a fetch that was under way ends
        await send(producer, rejected(workload, "after"))
        await until(lambda: seen == ["before", "after"])
        healed = subscriber.consumer
        assert healed is not hurt
        await asyncio.sleep(3.0)  # no traffic is no silence
        assert subscriber.consumer is healed


async def test_one_trace_through_stream_and_broker(kafka, producer, settings_for) -> None:
    exporter = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    workload, seen = new_id(), []

    async def admit(events):
        return [
            Event.new(
                InferenceAdmitted(request=e.data, received_at=0.0),
                source="test",
                workload=e.workload,
                subject=e.subject,
                cause=e,
            )
            for e in events
        ]

    async def collect(events) -> None:
        seen.extend(e for e in events if e.workload == workload)

    service = Service("guardrails", settings_for())
    service.stream("admit", [InferenceRequested], admit)
    service.stream("collect", [InferenceAdmitted], collect)
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    request = Event.new(
        InferenceRequested(request_id="r", messages=(Message(role="user", content="hi"),)),
        source="test",
        workload=workload,
        subject="r",
        traceparent=f"00-{trace_id}-00f067aa0ba902b7-01",
    )
    async with service.running():
        await send(producer, request)
        await until(lambda: seen)
    spans = {
        s.context.span_id: s
        for s in exporter.get_finished_spans()
        if format(s.context.trace_id, "032x") == trace_id
    }
    kinds = [s.kind for s in spans.values()]
    assert kinds.count(SpanKind.CONSUMER) == 2
    assert kinds.count(SpanKind.PRODUCER) == 1
    last = next(s for s in spans.values() if s.name == f"process {topics.INFERENCE_ADMITTED}")
    sent = spans[last.parent.span_id]
    assert sent.name == f"send {topics.INFERENCE_ADMITTED}"
    assert spans[sent.parent.span_id].name == f"process {topics.INFERENCE_REQUESTS}"
