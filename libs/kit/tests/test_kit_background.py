"""Background tasks: none ends in silence, each begins anew, and what dies for ever is shown."""

import asyncio
import itertools
import time

import pytest
from structlog.testing import capture_logs

from headrace_kit import Service, ServiceSettings
from headrace_kit.background import Background
from headrace_kit.database import Database
from headrace_kit.loop_watch import LoopWatch
from headrace_kit.metrics import BACKGROUND_FAILURES
from headrace_kit.periodic import Periodic


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it asks real tasks, which know no event
            await asyncio.sleep(0.01)


def failures(name: str) -> float:
    return BACKGROUND_FAILURES.labels(name)._value.get()


async def raises() -> None:
    raise ValueError("a user's text that must not travel")


async def returns() -> None:
    return


async def is_cancelled_from_inside() -> None:
    """As aiokafka does: the cancellation of one of its own tasks comes out of it."""
    inner = asyncio.ensure_future(asyncio.Event().wait())
    inner.cancel()
    await inner


@pytest.mark.parametrize(
    ("dies", "error"),
    [(raises, "ValueError"), (returns, "Ended"), (is_cancelled_from_inside, "CancelledError")],
)
async def test_a_task_that_dies_begins_anew_and_is_told_counted_and_shown(dies, error) -> None:
    background, runs = Background(first_backoff_seconds=0.1, steady_seconds=0.3), []

    async def work() -> None:
        runs.append(time.monotonic())
        if len(runs) <= 4:
            await dies()
        else:
            await asyncio.Event().wait()

    name, before = f"test {error}", failures(f"test {error}")
    with capture_logs() as logs:
        background.start(name, work)
        await until(lambda: len(runs) == 2)
        assert background.failing() == {}  # twice may be an accident
        await until(lambda: len(runs) == 5)
        assert background.failing() == {name: error}
        await until(lambda: not background.failing())  # it has run for long enough
        await background.stop()
    assert failures(name) - before == 4
    told = [entry for entry in logs if entry["event"] == "background task died"]
    assert [entry["deaths"] for entry in told] == [1, 2, 3, 4]
    assert {entry["task"] for entry in told} == {name}
    waits = [b - a for a, b in itertools.pairwise(runs)]
    assert waits[3] > waits[0]  # it backs off


async def test_what_may_end_ends_once() -> None:
    background, runs = Background(first_backoff_seconds=0.01), []

    async def work() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise ConnectionError

    await asyncio.wait_for(background.start("test once", work, endless=False), 10)
    assert len(runs) == 3 and background.failing() == {}


async def test_a_stop_ends_tasks_that_wait_for_their_next_run_too() -> None:
    background = Background(first_backoff_seconds=60)
    task = background.start("test stop", raises)
    await asyncio.sleep(0.05)
    await asyncio.wait_for(background.stop(), 5)
    assert task.cancelled()


@pytest.fixture
async def database(database_url: str):
    found = Database(database_url)
    await found.create()
    yield found
    await found.close()


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


@pytest.mark.parametrize(("reachable", "shown"), [(yes, "ValueError"), (no, "")])
async def test_periodic_work_that_fails_for_long_is_shown_unless_the_database_is_away(
    database, monkeypatch, reachable, shown
) -> None:
    monkeypatch.setattr("headrace_kit.periodic._FAILING_SECONDS", 0.0)
    work = Periodic("test fails", 0.01, raises, database=database, reachable=reachable)
    before = failures("test fails")
    task = asyncio.create_task(work.run())
    await until(lambda: failures("test fails") - before >= 4)
    assert work.failing() == shown
    task.cancel()


async def test_work_that_must_run_once_runs_in_one_replica(database, monkeypatch) -> None:
    ran: list[str] = []

    def replica(name: str) -> Periodic:
        async def tick() -> None:
            ran.append(name)

        return Periodic(
            "test once", 0.01, tick, database=database, reachable=yes, owner=f"{name} 1@ {name}"
        )

    first, second = replica("a"), replica("b")
    one = asyncio.create_task(first.run())
    await until(lambda: len(ran) > 3)
    two = asyncio.create_task(second.run())
    await asyncio.sleep(0.3)
    assert set(ran) == {"a"}
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    await first.release()
    await until(lambda: "b" in ran)
    two.cancel()


async def test_long_work_keeps_its_lease_and_stops_when_another_has_it(
    database, monkeypatch
) -> None:
    from datetime import timedelta

    from headrace_kit.database import LeaseRow

    monkeypatch.setattr("headrace_kit.periodic._LEASE", timedelta(seconds=0.6))
    begun, ended = [], []

    async def tick() -> None:
        begun.append(1)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    work = Periodic("test long", 0.01, tick, database=database, reachable=yes, owner="a 1@ a")
    task = asyncio.create_task(work.run())
    await until(lambda: bool(begun))
    await asyncio.sleep(1.2)
    assert not ended  # it was lengthened
    async with database.transaction() as session:
        row = await session.get(LeaseRow, "every/test long")
        assert row is not None
        row.owner, row.until = "b 1@ b", row.until + timedelta(hours=1)
    await until(lambda: bool(ended))
    await asyncio.sleep(0.1)
    assert len(begun) == 1
    task.cancel()


async def test_the_loops_stand_still_is_measured_and_its_place_is_logged() -> None:
    watch = LoopWatch(blocked_seconds=0.3)
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0.6)
    assert watch.worst() < 0.3 and watch.well()
    with capture_logs() as logs:
        time.sleep(1.2)  # noqa: ASYNC251 - that is the fault
        await asyncio.sleep(0.3)
    (told,) = [entry for entry in logs if entry["event"] == "the event loop stands still"]
    assert any("test_the_loops_stand_still" in frame for frame in told["frames"])
    assert 0.5 < watch.worst() < 5
    task.cancel()


async def test_a_dying_task_of_a_service_turns_readiness_red_by_its_name(monkeypatch) -> None:
    service = Service("data-quality", ServiceSettings())
    service._background = Background(first_backoff_seconds=0.01)
    service.background("the test's", raises)
    await until(lambda: "background the test's" in service.readiness())
    assert service.readiness()["background the test's"] is False
    assert service.details()["background"] == {"the test's": "ValueError"}
    await service._background.stop()
