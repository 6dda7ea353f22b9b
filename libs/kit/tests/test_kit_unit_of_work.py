"""State and events are one transaction; the relay publishes in order and loses nothing."""

import asyncio

import pytest
from sqlalchemy import func, select

from headrace_events.data import RecordsRejected
from headrace_kit.database import Database, JobRow, LeaseRow, OutboxRow
from headrace_kit.relay import Relay
from headrace_kit.unit_of_work import UnitsOfWork


@pytest.fixture
async def database(database_url: str):
    found = Database(database_url)
    await found.create()
    yield found
    await found.close()


@pytest.fixture
def units(database: Database) -> UnitsOfWork:
    return UnitsOfWork(database, "test", lambda: None)


async def count(database: Database, table: type) -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


class Broker:
    """Acknowledges what it is sent, or refuses after `accept` records."""

    def __init__(self, accept: int = 10**9) -> None:
        self.accept = accept
        self.records: list[tuple[str, bytes, str]] = []

    async def send(self, topic: str, key: bytes, body: bytes, headers: dict[str, str]):
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if len(self.records) >= self.accept:
            future.set_exception(ConnectionError("broker away"))
        else:
            self.records.append((topic, body, headers["ce_id"]))
            future.set_result(None)
        return future


async def test_an_error_leaves_neither_event_nor_job(database, units) -> None:
    with pytest.raises(RuntimeError):
        async with units.begin(workload="w") as uow:
            uow.emit(RecordsRejected(source="s", reason="r"))
            await uow.enqueue("kind", "key", {})
            raise RuntimeError
    assert await count(database, OutboxRow) == 0
    assert await count(database, JobRow) == 0


async def test_the_same_job_twice_is_one(database, units) -> None:
    for expected in (True, False):
        async with units.begin(workload="w") as uow:
            assert await uow.enqueue("kind", "key", {}) is expected
    assert await count(database, JobRow) == 1


async def test_the_relay_publishes_in_order_and_forgets(database, units) -> None:
    sent = []
    for number in range(5):
        async with units.begin(workload="w") as uow:
            sent.append(uow.emit(RecordsRejected(source="s", reason=str(number))).id)
    broker = Broker()
    assert await Relay(database, broker.send, "a").publish_batch() == 5
    assert [record[2] for record in broker.records] == sent
    assert await count(database, OutboxRow) == 0


async def test_what_the_broker_refused_is_published_again_under_the_same_id(
    database, units
) -> None:
    async with units.begin(workload="w") as uow:
        ids = [
            uow.emit(RecordsRejected(source="s", reason=str(n)), discriminator=str(n)).id
            for n in range(3)
        ]
    broken = Broker(accept=1)
    with pytest.raises(ConnectionError):
        await Relay(database, broken.send, "a").publish_batch()
    assert await count(database, OutboxRow) == 2
    healed = Broker()
    await Relay(database, healed.send, "a").publish_batch()
    assert [record[2] for record in healed.records] == ids[1:]


async def test_one_relay_at_a_time(database, units) -> None:
    async with units.begin(workload="w") as uow:
        uow.emit(RecordsRejected(source="s", reason="r"))
    first, second = Broker(), Broker()
    holder = Relay(database, first.send, "a")
    await holder.publish_batch()
    async with units.begin(workload="w") as uow:
        uow.emit(RecordsRejected(source="s", reason="r"))
    assert await Relay(database, second.send, "b").publish_batch() == 0
    async with database.transaction() as session:
        lease = await session.get(LeaseRow, "relay")
        assert lease is not None and lease.owner == "a"
    assert await holder.publish_batch() == 1


async def test_outcomes_of_one_cause_have_the_same_ids_again(database, units) -> None:
    async with units.begin(workload="w") as uow:
        cause = uow.emit(RecordsRejected(source="s", reason="cause"))
    seen = []
    for _ in range(2):
        with pytest.raises(RuntimeError):
            async with units.begin(cause=cause) as uow:
                seen.append(uow.emit(RecordsRejected(source="s", reason="outcome")).id)
                raise RuntimeError
    assert seen[0] == seen[1] != cause.id
