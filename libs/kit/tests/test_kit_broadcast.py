"""A broadcast hears what is whole and passes over what is not."""

from typing import Any

import pytest
from aiokafka import ConsumerRecord

from headrace_events import Event
from headrace_events.inference import InferenceCancelRequested
from headrace_kit import Service
from headrace_kit.broadcast import Broadcast
from headrace_kit.metrics import BACKGROUND_FAILURES, NOTICES_PASSED_OVER


def record(event: Event[Any], body: bytes) -> "ConsumerRecord[Any, Any]":
    headers = tuple((name, value.encode()) for name, value in event.headers().items())
    return ConsumerRecord(event.topic, 0, 0, 0, 0, b"w", body, None, 0, len(body), headers)


def test_a_broken_notice_does_not_silence_the_next() -> None:
    heard: list[str] = []
    broadcast = Broadcast(
        [InferenceCancelRequested],
        lambda event: heard.append(event.data.request_id),
        bootstrap_servers="127.0.0.1:1",
        client_id="test",
        since_seconds=0,
    )
    event = Event.new(InferenceCancelRequested(request_id="r-1"), source="test", workload="w")
    passed_over = NOTICES_PASSED_OVER.labels(event.topic)._value
    before = passed_over.get()
    broadcast.take(record(event, b"{"))
    assert passed_over.get() == before + 1
    broadcast.take(record(event, event.body()))
    assert heard == ["r-1"]


@pytest.mark.integration
async def test_a_stop_is_no_death(kafka: str, settings_for: Any) -> None:
    service = Service("serving", settings_for())
    service.broadcast([InferenceCancelRequested], lambda _: None)
    deaths = BACKGROUND_FAILURES.labels(f"broadcast {InferenceCancelRequested.TOPIC}")._value
    before = deaths.get()
    async with service.running():
        pass
    async with Service("serving", settings_for()).running():
        pass
    assert deaths.get() == before
