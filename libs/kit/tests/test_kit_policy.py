"""How long a record may hold its partition up, and whose fault it is."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import text

from headrace_events import Event, topics
from headrace_events.data import RecordsRejected
from headrace_events.inference import FeedbackGiven
from headrace_kit import consumer as consumer_module
from headrace_kit.consumer import ControlConsumer
from headrace_kit.database import Database
from headrace_kit.dead_letters import DeadLetters
from headrace_kit.inbox import is_known
from headrace_kit.retries import RetryPolicy
from headrace_kit.stream import Stream
from headrace_kit.testing_replay import MemoryRecord
from headrace_kit.unit_of_work import UnitsOfWork

SECRET = "my card is 4111"


def record(data: Any, offset: int = 0) -> Any:
    event: Event[Any] = Event.new(data, source="test", workload="w")
    headers = tuple((k, v.encode()) for k, v in event.headers().items())
    return MemoryRecord(event.topic, 0, offset, 0, b"k", event.body(), headers)


class Aside:
    """The dead-letter topic."""

    def __init__(self) -> None:
        self.letters: list[dict[str, str]] = []
        self.writer = DeadLetters("test", self._send, limit=100)

    async def _send(self, topic: str, key: Any, value: Any, headers: Any) -> None:
        assert topic == topics.dlq("test") and key == b"k"
        self.letters.append({name: content.decode() for name, content in headers})


@pytest.fixture
async def database(database_url: str):
    found = Database(database_url)
    await found.create()
    yield found
    await found.close()


def consumer(database: Database, aside: Aside, policy: RetryPolicy) -> ControlConsumer:
    units = UnitsOfWork(database, "test", lambda: None)
    return ControlConsumer(units, aside.writer, "group", policy)


async def test_a_failing_handler_is_tried_as_often_as_the_policy_says(database) -> None:
    aside, tries = Aside(), []

    async def fails(event: Any, uow: Any) -> None:
        tries.append(time.monotonic())
        raise LookupError(SECRET)

    control = consumer(database, aside, RetryPolicy((0.05, 0.1), jitter=0.2))
    control.add(RecordsRejected, fails)
    await control.consume(record(RecordsRejected(source="s", reason="r"), offset=7))
    first, second = tries[1] - tries[0], tries[2] - tries[1]
    assert len(tries) == 3 and first >= 0.04 and second >= 0.08
    (letter,) = aside.letters
    origin = {k: v for k, v in letter.items() if k.startswith("headrace_dlq_")}
    assert origin.pop("headrace_dlq_time").startswith("20")
    assert origin == {
        "headrace_dlq_topic": topics.RECORDS,
        "headrace_dlq_partition": "0",
        "headrace_dlq_offset": "7",
        "headrace_dlq_error": "LookupError",
        "headrace_dlq_attempts": "3",
        "headrace_dlq_service": "test",
    }
    assert SECRET not in str(letter)


async def test_a_handler_that_hangs_does_not_hold_the_partition(database) -> None:
    aside = Aside()

    async def hangs(event: Any, uow: Any) -> None:
        await asyncio.sleep(60)

    control = consumer(database, aside, RetryPolicy((0.05,), max_blocking_seconds=0.3))
    control.add(RecordsRejected, hangs)
    async with asyncio.timeout(20):
        await control.consume(record(RecordsRejected(source="s", reason="r")))
    assert aside.letters[0]["headrace_dlq_error"] == "TimeoutError"


async def test_no_wait_goes_beyond_the_bound(database) -> None:
    aside, tries = Aside(), []

    async def fails(event: Any, uow: Any) -> None:
        tries.append(1)
        raise LookupError

    control = consumer(database, aside, RetryPolicy((0.01, 60.0), max_blocking_seconds=5))
    control.add(RecordsRejected, fails)
    async with asyncio.timeout(20):
        await control.consume(record(RecordsRejected(source="s", reason="r")))
    assert len(tries) == 2 and len(aside.letters) == 1


async def test_without_its_database_a_service_waits_and_dead_letters_nothing(
    database, monkeypatch
) -> None:
    monkeypatch.setattr(consumer_module, "_DATABASE_AWAY_SECONDS", 0.05)
    aside, seen, away = Aside(), [], asyncio.Event()

    async def handler(event: Any, uow: Any) -> None:
        seen.append(event.id)

    control = consumer(database, aside, RetryPolicy((0.01,)))
    control.add(RecordsRejected, handler)
    one = record(RecordsRejected(source="s", reason="r"))

    def unless_away(real: Any) -> Any:
        def opened() -> Any:
            if not away.is_set():
                raise ConnectionRefusedError
            return real()

        return opened

    for way in ("transaction", "reading"):
        monkeypatch.setattr(database, way, unless_away(getattr(database, way)))
    consuming = asyncio.create_task(control.consume(one))
    await asyncio.sleep(0.5)
    assert control.database_away and not consuming.done() and not seen
    away.set()
    await consuming
    assert len(seen) == 1 and aside.letters == [] and not control.database_away


async def test_a_handlers_broken_statement_is_its_own_fault(database) -> None:
    """The database answers, so the record is set aside; nothing of the attempt stays."""
    aside = Aside()

    async def breaks(event: Any, uow: Any) -> None:
        await uow.session.execute(text("SELECT * FROM nowhere"))

    control = consumer(database, aside, RetryPolicy((0.01,)))
    control.add(RecordsRejected, breaks)
    broken = record(RecordsRejected(source="s", reason="r"))
    await control.consume(broken)
    assert len(aside.letters) == 1
    event: Any = Event.new(RecordsRejected(source="s", reason="r"), source="test", workload="w")
    event = event.model_copy(update={"id": dict(broken.headers)["ce_id"].decode()})
    async with UnitsOfWork(database, "test", lambda: None).begin() as uow:
        assert not await is_known(uow.session, event), "a replay of it would be passed over"


async def test_one_bad_event_does_not_make_a_batch_wait_for_each() -> None:
    aside, handled, calls = Aside(), [], []

    async def handler(events: list[Event[Any]]) -> None:
        calls.append(len(events))
        if any(e.data.rating == -1 for e in events):
            raise LookupError(SECRET)
        handled.extend(e.data.request_id for e in events)

    async def publish(events: Any) -> None:
        assert not events

    stream = Stream(
        "s",
        [FeedbackGiven],
        handler,
        publish=publish,
        dead_letters=aside.writer,
        group="g",
        policy=RetryPolicy((0.2,), jitter=0),
    )
    batch = [
        record(FeedbackGiven(request_id=str(n), rating=-1 if n % 3 == 0 else 1), n)
        for n in range(30)
    ]
    started = time.monotonic()
    await stream.consume(batch)
    assert handled == [str(n) for n in range(30) if n % 3]
    assert [int(one["headrace_dlq_offset"]) for one in aside.letters] == list(range(0, 30, 3))
    assert calls[:2] == [30, 30] and calls[2:] == [1] * 30
    assert time.monotonic() - started < 2, "each bad event had its own waits"
