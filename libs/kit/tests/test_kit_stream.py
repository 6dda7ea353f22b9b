"""A micro-batch with poison in it, where the broker is slow, refuses, or the limit is reached."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from headrace_events import Event, new_id
from headrace_events.inference import InferenceRequested, Message
from headrace_kit.dead_letters import DeadLetterLimitExceeded, DeadLetters
from headrace_kit.held import SomeHeld
from headrace_kit.retries import RetryPolicy
from headrace_kit.stream import Stream


def record(body: bytes | None = None) -> "ConsumerRecord[Any, Any]":
    """A request, or what `body` says instead of one."""
    data = InferenceRequested(request_id=new_id(), messages=(Message(role="user", content="hi"),))
    event: Event[Any] = Event.new(data, source="t", workload="w", subject=data.request_id)
    headers = tuple((k, v.encode()) for k, v in event.headers().items())
    value = event.body() if body is None else body
    key = data.request_id.encode()
    return ConsumerRecord(event.topic, 0, 0, 0, 0, key, value, None, len(key), len(value), headers)


class Broker:
    """Takes dead letters when `go` is set, or refuses them."""

    def __init__(self) -> None:
        self.letters: list[bytes | None] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def send(
        self,
        _topic: str,
        key: bytes | None,
        _value: bytes | None,
        _headers: Sequence[tuple[str, bytes]],
    ) -> None:
        await self.go.wait()
        if self.error:
            raise self.error
        self.letters.append(key)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def handled() -> list[str]:
    return []


@pytest.fixture
def stream(broker: Broker, handled: list[str]) -> Callable[[int], Stream]:
    """Return `stream(limit)`: one that notes the requests it handled."""

    async def handler(events: list[Event[Any]]) -> None:
        handled.extend(event.data.request_id for event in events)

    async def publish(_events: Sequence[Event[Any]]) -> None:
        """There is nothing to publish."""

    def make(limit: int) -> Stream:
        return Stream(
            "s",
            [InferenceRequested],
            handler,
            publish=publish,
            dead_letters=DeadLetters("guardrails", broker.send, limit),
            group="g",
            policy=RetryPolicy(()),
        )

    return make


def keys(records: Sequence["ConsumerRecord[Any, Any]"]) -> list[str]:
    return [r.key.decode() for r in records]


async def test_good_events_do_not_wait_for_a_dead_letter_but_the_batch_does(
    stream, broker, handled
) -> None:
    good = [record(), record()]
    poison = record(b"no json")
    working = asyncio.create_task(stream(10).consume([good[0], poison, good[1]]))
    await asyncio.sleep(0.05)
    assert handled == keys(good)
    assert not working.done()  # or the poison's offset were committed before it is safe
    broker.go.set()
    await working
    assert broker.letters == [poison.key]


async def test_nothing_but_poison_calls_no_handler(stream, broker, handled) -> None:
    broker.go.set()
    poison = [record(b"no json"), record(b"\xff"), record(b"")]
    await stream(10).consume(poison)
    assert (broker.letters, handled) == ([p.key for p in poison], [])


async def test_a_dead_letter_that_the_broker_refuses_keeps_the_batch(
    stream, broker, handled
) -> None:
    good, poison = record(), record(b"no json")
    broker.go.set()
    broker.error = ConnectionError()
    lane = stream(10)
    with pytest.raises(SomeHeld) as held:
        await lane.consume([poison, good])
    assert held.value.records == [poison]
    assert isinstance(held.value.cause, ConnectionError)
    broker.error = None
    await lane.consume(held.value.records)
    # What is good is not handled again each time that the dead letter is tried.
    assert (broker.letters, handled) == ([poison.key], keys([good]))


async def test_at_the_limit_it_halts_without_another_dead_letter(stream, broker, handled) -> None:
    poison = [record(b"no json") for _ in range(3)]
    good = record()
    broker.go.set()
    with pytest.raises(DeadLetterLimitExceeded):
        await stream(2).consume([*poison, good])
    assert (broker.letters, handled) == ([p.key for p in poison[:2]], keys([good]))


async def test_many_at_once_do_not_pass_the_limit_and_a_refused_one_does_not_count(
    stream, broker
) -> None:
    lane = stream(3)
    broker.error = ConnectionError()
    broker.go.set()
    for _ in range(5):
        with pytest.raises(SomeHeld):
            await lane.consume([record(b"no json")])
    broker.error = None
    broker.go.clear()
    working = [asyncio.create_task(lane.consume([record(b"no json")])) for _ in range(8)]
    await asyncio.sleep(0.05)
    broker.go.set()
    results = await asyncio.gather(*working, return_exceptions=True)
    assert len(broker.letters) == 3
    assert sum(isinstance(result, DeadLetterLimitExceeded) for result in results) == 5


async def test_poison_is_let_go_when_it_is_dealt_with(stream, broker) -> None:
    """It lay in a circle of error and frame until the next full collection, hours later."""
    broker.go.set()
    poison = [record(b"{" + b"x" * 1000), record(b"{}")]
    left = [weakref.ref(one) for one in poison]
    gc.disable()
    try:
        await stream(10).consume(poison)
        poison.clear()
        assert [ref() for ref in left] == [None, None]
    finally:
        gc.enable()


async def test_a_batch_that_its_handler_failed_on_is_let_go(broker) -> None:
    async def fails(_events: list[Event[Any]]) -> None:
        raise ValueError

    async def publish(_events: Sequence[Event[Any]]) -> None:
        """There is nothing to publish."""

    broker.go.set()
    letters = DeadLetters("guardrails", broker.send, 10)
    policy = RetryPolicy((0.01,), 0.0, 1.0)
    failing = Stream(
        "s", [InferenceRequested], fails, publish=publish, dead_letters=letters, policy=policy,
        group="g",
    )  # fmt: skip
    batch = [record(), record()]
    left = [weakref.ref(one) for one in batch]
    gc.disable()
    try:
        await failing.consume(batch)
        batch.clear()
        assert [ref() for ref in left] == [None, None]
    finally:
        gc.enable()
