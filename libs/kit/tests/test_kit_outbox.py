"""The outbox under an adversary: order per key, hand-over, failures in the middle, lag, cleanup."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from sqlalchemy import func, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from headrace_events import Event, new_id, topics
from headrace_events.data import DatasetRejected, RecordsRejected
from headrace_events.monitoring import AlertRaised, AlertResolved
from headrace_kit import Service, ServiceSettings, inbox
from headrace_kit.database import Database, InboxRow, LeaseRow, OutboxRow
from headrace_kit.inbox import forget_old_ids, shortest_memory
from headrace_kit.metrics import OUTBOX_OLDEST, OUTBOX_ROWS
from headrace_kit.relay import Relay
from headrace_kit.unit_of_work import EventTooLarge, UnitOfWork, UnitsOfWork


class Base(DeclarativeBase):
    pass


class Counter(Base):
    __tablename__ = "counters"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


@pytest.fixture
async def database(database_url: str):
    found = Database(database_url, Base.metadata)
    await found.create()
    yield found
    await found.close()


@pytest.fixture
def units(database: Database) -> UnitsOfWork:
    return UnitsOfWork(database, "test", lambda: None)


async def ended(task: asyncio.Task[None]) -> bool:
    """Whether a cancelled task ends; False when the cancellation was lost."""
    task.cancel()
    await asyncio.wait([task], timeout=5)
    return task.cancelled()


class Broker:
    """A partition per key: keeps order, acknowledges late, refuses what it is told to."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.by_key: dict[str, list[str]] = defaultdict(list)
        self.delay = 0.0

    async def send(self, topic: str, key: bytes, body: bytes, headers: dict[str, str]):
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        reason = RecordsRejected.model_validate_json(body).reason
        if reason in self.refused:
            future.set_exception(ConnectionError("refused"))
            return future
        self.by_key[key.decode()].append(reason)
        asyncio.get_running_loop().call_later(self.delay, future.set_result, None)
        return future


async def emit(units: UnitsOfWork, key: str, *reasons: str) -> None:
    async with units.begin(workload=key) as uow:
        for reason in reasons:
            uow.emit(RecordsRejected(source="s", reason=reason))


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait for it, and not for ever."""
    async with asyncio.timeout(60):
        while True:
            found = condition()
            if found is True or (isinstance(found, Awaitable) and await found):
                return
            await asyncio.sleep(0.002)


async def left(database: Database) -> list[str]:
    async with database.transaction() as session:
        rows = await session.scalars(select(OutboxRow).order_by(OutboxRow.seq))
        return [RecordsRejected.model_validate_json(row.body).reason for row in rows]


async def drained(database: Database) -> bool:
    return not await left(database)


async def test_events_leave_in_the_order_of_commits_whatever_they_were_written_in(
    database, units
) -> None:
    """Each transaction emits first and takes its number, under a row lock, later."""
    keys, count = ("a", "b", "c"), 40
    async with database.transaction() as session:
        session.add_all(Counter(key=key, value=0) for key in keys)
    dice, broker = random.Random(3), Broker()

    async def change(key: str) -> None:
        await asyncio.sleep(dice.random() * 0.2)
        async with units.begin(workload=key) as uow:
            event = RecordsRejected(source="s", reason="?")
            emitted_first = dice.random() < 0.5
            if emitted_first:
                # An insert at this point would take its number before the lock is had.
                uow.emit(event)
                await uow.session.scalar(select(func.count()).select_from(Counter))
                await asyncio.sleep(dice.random() * 0.01)
            value = await uow.session.scalar(
                update(Counter)
                .where(Counter.key == key)
                .values(value=Counter.value + 1)
                .returning(Counter.value)
            )
            await asyncio.sleep(dice.random() * 0.01)
            if emitted_first:
                uow._outbox[-1].body = (
                    event.model_copy(update={"reason": str(value)}).model_dump_json().encode()
                )
            else:
                uow.emit(event.model_copy(update={"reason": str(value)}))

    relay = asyncio.create_task(Relay(database, broker.send, "r").run())
    async with asyncio.TaskGroup() as group:
        for number in range(count * len(keys)):
            group.create_task(change(keys[number % len(keys)]))
    await until(lambda: drained(database))
    assert await ended(relay)
    assert dict(broker.by_key) == {key: [str(n + 1) for n in range(count)] for key in keys}


async def test_a_number_is_never_taken_before_an_earlier_ones_commit(database, units) -> None:
    """The relay would publish 2, and 1 after it: autoincrement numbers do not wait for commits."""
    broker = Broker()
    relay = Relay(database, broker.send, "r")
    async with database.transaction() as session:
        first = UnitOfWork(session, "test", None, "a", 1000)
        first.emit(RecordsRejected(source="s", reason="1"))
        await first.write_outbox()
        second = asyncio.create_task(emit(units, "a", "2"))
        if not database.sqlite:  # it has one writer at a time
            await emit(units, "other", "x")
            await relay.publish_batch()
        await asyncio.sleep(0.3)
        assert not second.done() and not broker.by_key["a"]
    await second
    await relay.publish_batch()
    assert broker.by_key["a"] == ["1", "2"]


async def test_a_refused_event_holds_back_its_key_and_no_other(database, units) -> None:
    await emit(units, "a", "a1", "a2", "a3")
    await emit(units, "b", "b1", "b2")
    broker = Broker()
    broker.refused = {"a2"}
    relay = Relay(database, broker.send, "r")
    with pytest.raises(ConnectionError):
        await relay.publish_batch()
    assert await left(database) == ["a2", "a3"]
    broker.refused = set()
    assert await relay.publish_batch() == 2
    assert broker.by_key["b"] == ["b1", "b2"]
    first = list(dict.fromkeys(broker.by_key["a"]))
    assert first[0] == "a1" and await left(database) == []


async def test_a_refused_key_holds_only_its_own_rows_however_many_they_are(database, units) -> None:
    await emit(units, "a", *(f"a{n}" for n in range(450)))
    await emit(units, "b", "b1", "b2")
    broker = Broker()
    broker.refused = {f"a{n}" for n in range(450)}
    relay = Relay(database, broker.send, "r")
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(10):
        await until(lambda: broker.by_key["b"] == ["b1", "b2"])
    for number in range(3):  # and it is not read again and again
        await emit(units, "b", f"later{number}")
    await until(lambda: len(broker.by_key["b"]) == 5)
    assert relay._keys.times((topics.RECORDS, "a")) < 6
    broker.refused = set()
    await until(lambda: drained(database))
    assert list(dict.fromkeys(broker.by_key["a"])) == [f"a{n}" for n in range(450)]
    assert await ended(running)


async def test_a_topic_that_kafka_does_not_know_keeps_no_other_waiting(
    database, units, monkeypatch
) -> None:
    monkeypatch.setattr("headrace_kit.relay._HAND_OVER_SECONDS", 3.0)
    broker, missing, asked = Broker(), True, []

    async def send(topic: str, key: bytes, body: bytes, headers: dict[str, str]):
        if topic == topics.DATASETS:
            asked.append(asyncio.get_running_loop().time())
            if missing:  # as aiokafka waits for the topic's metadata
                await asyncio.sleep(40)
            future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            future.set_result(None)
            return future
        return await broker.send(topic, key, body, headers)

    relay = Relay(database, send, "r")
    running = asyncio.create_task(relay.run())
    for key in "abc":
        async with units.begin(workload=key) as uow:
            uow.emit(DatasetRejected(batches=(), reason="r"))
    for number in range(4):
        await emit(units, "a", str(number))
        relay.wake()
        async with asyncio.timeout(2.5):
            await until(lambda number=number: str(number) in broker.by_key["a"])
        await asyncio.sleep(0.5)
    assert len(asked) <= 2  # one wait for the topic, not one a key
    missing = False

    async def nothing_left() -> bool:
        async with database.reading() as session:
            return not await session.scalar(select(func.count()).select_from(OutboxRow))

    await until(nothing_left)
    assert await ended(running)


async def test_an_event_that_is_too_large_is_kept_aside_and_holds_nobody(database, units) -> None:
    await emit(units, "a", "a1", "large", "a2")
    await emit(units, "b", "b1")
    broker, limit = Broker(), ["large"]
    sent: list[tuple[str, asyncio.Future[object]]] = []

    async def send(topic: str, key: bytes, body: bytes, headers: dict[str, str]):
        """Refuse the batch, and in it all that was handed over at the same time."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        sent.append((RecordsRejected.model_validate_json(body).reason, future))

        async def answer() -> None:
            await asyncio.sleep(0.05)
            batch, sent[:] = list(sent), []
            for reason, one in batch:
                if any(r in limit for r, _ in batch):
                    one.set_exception(MessageSizeTooLargeError())
                else:
                    broker.by_key["all"].append(reason)
                    one.set_result(None)

        if len(sent) == 1:
            answering.append(asyncio.create_task(answer()))
        return future

    answering: list[asyncio.Task[None]] = []
    relay = Relay(database, send, "r")
    await relay.publish_batch()
    assert broker.by_key["all"] == ["a1", "a2", "b1"]
    assert await left(database) == ["large"]
    await relay.look()
    assert (relay.waiting, relay.refused) == (0, 1)
    assert await relay.publish_batch() == 0  # it is not sent again and again
    limit.clear()
    assert await relay.try_refused_again() == 1
    assert await relay.publish_batch() == 1
    assert await left(database) == []


async def test_an_event_that_is_never_taken_raises_an_alert_that_ends_with_it(
    tmp_path,
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/service.db"
    service = Service("data-quality", ServiceSettings(database={"url": url}))
    await service.database.create()
    await emit(service._units, "a", "1")
    async with service.database.transaction() as session:
        await session.execute(update(OutboxRow).values(refused="MessageSizeTooLargeError"))

    async def alerts() -> list[str]:
        async with service.database.reading() as session:
            rows = await session.scalars(select(OutboxRow).order_by(OutboxRow.seq))
            return [row.type for row in rows if row.topic == topics.ALERTS]

    await service._look_at_outbox()
    await service._look_at_outbox()
    assert await alerts() == [AlertRaised.TYPE]
    assert service.details()["outbox"]["refused"] == 1
    await service._relay.try_refused_again()
    await service._look_at_outbox()
    assert await alerts() == [AlertRaised.TYPE, AlertResolved.TYPE]
    await service.database.close()


async def test_a_relay_that_lost_its_lease_repeats_but_never_reorders(database, units) -> None:
    """The old holder hangs at the broker; the new one publishes all, then the old one wakes."""
    await emit(units, "a", "1", "2", "3")
    broker, slow = Broker(), asyncio.Event()

    async def hanging(topic: str, key: bytes, body: bytes, headers: dict[str, str]):
        if RecordsRejected.model_validate_json(body).reason == "2":
            await slow.wait()
        return await broker.send(topic, key, body, headers)

    old = asyncio.create_task(Relay(database, hanging, "old").publish_batch())
    await until(lambda: bool(broker.by_key["a"]))
    async with database.transaction() as session:
        lease = await session.get(LeaseRow, "relay")
        assert lease is not None and lease.owner == "old"
        lease.until = datetime.now(UTC) - timedelta(seconds=1)
    await emit(units, "a", "4")
    new = Relay(database, broker.send, "new")
    assert await new.publish_batch() == 4
    slow.set()
    await old
    seen = broker.by_key["a"]
    assert list(dict.fromkeys(seen)) == ["1", "2", "3", "4"]
    assert len(seen) > 4, "the planted repeat did not happen"
    assert await left(database) == []


async def test_killed_between_publish_and_delete_it_repeats_under_the_same_ids(
    database, units, monkeypatch
) -> None:
    await emit(units, "a", "1", "2")
    ids: list[str] = []

    async def send(topic: str, key: bytes, body: bytes, headers: dict[str, str]):
        ids.append(headers["ce_id"])
        return await broker.send(topic, key, body, headers)

    async def killed(done: object) -> None:
        raise SystemExit

    broker = Broker()
    first = Relay(database, send, "r")
    monkeypatch.setattr(first, "_forget", killed)
    with pytest.raises(SystemExit):
        await first.publish_batch()
    await emit(units, "a", "3")
    assert await Relay(database, send, "r").publish_batch() == 3
    assert broker.by_key["a"] == ["1", "2", "1", "2", "3"]
    assert ids[:2] == ids[2:4] and len(set(ids)) == 3


async def test_two_relays_at_work_publish_everything_in_order(database, units) -> None:
    broker = Broker()
    broker.delay = 0.002
    relays = [asyncio.create_task(Relay(database, broker.send, name).run()) for name in "xy"]

    async def write(key: str) -> None:
        for number in range(30):
            await emit(units, key, str(number))

    await asyncio.gather(write("a"), write("b"))
    await until(lambda: drained(database))
    for relay in relays:
        assert await ended(relay)
    for key in "ab":
        assert list(dict.fromkeys(broker.by_key[key])) == [str(n) for n in range(30)]


async def test_a_graceful_stop_hands_the_relay_over_at_once(database, units) -> None:
    broker = Broker()
    await emit(units, "a", "1")
    first = Relay(database, broker.send, "first")
    await first.publish_batch()
    await first.release()
    await emit(units, "a", "2")
    assert await Relay(database, broker.send, "second").publish_batch() == 1


async def test_a_commit_wakes_the_relay_of_its_process(database) -> None:
    broker = Broker()
    relay = Relay(database, broker.send, "r")
    units = UnitsOfWork(database, "test", relay.wake)
    running = asyncio.create_task(relay.run())
    await emit(units, "a", "warm")
    await until(lambda: drained(database))
    taken = []
    for number in range(5):
        started = asyncio.get_running_loop().time()
        await emit(units, "a", str(number))
        wanted = str(number)
        await until(lambda wanted=wanted: wanted in broker.by_key["a"])
        taken.append(asyncio.get_running_loop().time() - started)
    assert await ended(running)
    assert min(taken) < 0.5, "it waited for the poll, which comes once a second"


@pytest.mark.parametrize("turns", range(8))
async def test_a_relay_that_is_woken_and_cancelled_at_once_ends(database, turns: int) -> None:
    relay = Relay(database, Broker().send, "r")
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0.2)  # it waits for its wake-up now
    relay.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    assert await ended(running)


async def test_the_lag_is_measured_beside_a_publishing_that_hangs(database, units) -> None:
    async def never(*_: object):
        return asyncio.get_running_loop().create_future()

    relay = Relay(database, never, "r")
    await emit(units, "a", "1", "2")
    hanging = asyncio.create_task(relay.publish_batch())
    await asyncio.sleep(0.1)
    await emit(units, "a", "3")
    await relay.look()
    assert relay.waiting == 3 and OUTBOX_ROWS._value.get() == 3
    assert 0 < OUTBOX_OLDEST._value.get() == pytest.approx(relay.lag_seconds(), abs=0.5)
    assert await ended(hanging)


async def test_an_event_that_no_topic_takes_fails_where_it_is_made(database) -> None:
    units = UnitsOfWork(database, "test", lambda: None, max_bytes=1000)
    with pytest.raises(EventTooLarge, match="reference"):
        await emit(units, "a", "x" * 1001)
    assert await left(database) == []


async def test_one_id_of_two_sources_is_two_events(database, units) -> None:
    one = Event.new(RecordsRejected(source="s", reason="r"), source="one", workload="w")
    other = one.model_copy(update={"source": "/elsewhere"})
    async with units.begin() as uow:
        await inbox.take(uow.session, one)
        assert await inbox.is_known(uow.session, one)
        assert not await inbox.is_known(uow.session, other)
        await inbox.take(uow.session, other)


async def test_old_ids_are_forgotten_and_young_ones_kept(database, units) -> None:
    now, keep = datetime.now(UTC), timedelta(days=61)
    async with database.transaction() as session:
        session.add_all(
            InboxRow(source="s", event_id=new_id(), handled_at=now - age)
            for age in (timedelta(days=62), timedelta(days=60), timedelta(0))
            for _ in range(700)
        )
    assert keep >= shortest_memory()
    assert await forget_old_ids(database, keep) == 700
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(InboxRow)) == 1400
