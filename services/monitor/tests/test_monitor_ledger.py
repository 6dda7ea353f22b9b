"""The audit chain of a long life: read at start, checked for whoever asks, off the event loop."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from headrace_events import Event
from headrace_events.models import ModelPromoted, ModelRegistered
from headrace_events.references import DatasetRef, ModelRef, TableRef
from headrace_events.training import TrainingProgressed
from headrace_kit import Service
from headrace_monitor.adapters import audit, loops
from headrace_monitor.adapters.tables import AuditRow, Base
from headrace_monitor.core.entries import entry
from headrace_monitor.live import Live
from headrace_monitor.settings import Settings
from headrace_monitor.watches import verification
from headrace_monitor.watches.ledger import Ledger
from headrace_monitor.watches.verification import ChainCheck

TABLE = TableRef(uri="file:///t", version=1)
DATASET = DatasetRef(version=1, table=TABLE, digest="d", train_rows=90, holdout_rows=10)
BASE = ModelRef(name="docs", version="base", base="smollm2")
MODEL = ModelRef(name="docs", version="1", base="smollm2")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(
        "monitor",
        Settings.model_validate({"database": {"url": f"sqlite+aiosqlite:///{tmp_path}/m.db"}}),
        tables=Base.metadata,
    )
    await made.database.create()
    yield made
    await made.database.close()


async def happened(service: Service, *facts: Any, workload: str = "docs") -> None:
    """Append events to the chain and seal them."""
    async with service.unit_of_work() as uow:
        for data in facts:
            event: Event[Any] = Event.new(data, source="test", workload=workload)
            audit.append(uow.session, entry(event, None))
    sealed = 1
    while sealed:
        async with service.unit_of_work() as uow:
            sealed = await audit.seal(uow.session)


def progress(step: int) -> TrainingProgressed:
    return TrainingProgressed(
        job_id="job", step=step, steps=10**6, loss=0.5, tokens_per_second=100.0
    )


def ledger(service: Service) -> Ledger:
    return Ledger(service, Live(lambda: False))


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of what is folded in from now on."""
    from headrace_monitor.core.projection import Loops

    found: list[str] = []
    add = Loops.add

    def counted(self: Loops, one: Any) -> None:
        found.append(one.type)
        add(self, one)

    monkeypatch.setattr(Loops, "add", counted)
    return found


async def test_a_start_folds_in_only_what_came_since_the_last_snapshot(
    service: Service, folded: list[str]
) -> None:
    registered = ModelRegistered(
        model=MODEL, incumbent=BASE, dataset=DATASET, run_id="r", metrics={}
    )
    await happened(service, *(progress(n) for n in range(1, 400)), registered)
    await happened(service, progress(1), workload="other")
    first = ledger(service)
    await first.tick()
    await first.keep()
    folded.clear()

    second = ledger(service)
    await second.read()
    assert folded == []
    assert second.loops.by_name == first.loops.by_name
    assert (second.position, len(second.events)) == (401, 300)

    await happened(service, ModelPromoted(model=MODEL, previous=BASE))
    third = ledger(service)
    await third.read()
    assert folded == ["model.promoted.v1"]
    assert third.loops.by_name["docs"].production == "1"
    folded.clear()
    await ledger(service).read()
    assert folded == [], "what the start before folded in is kept too"


async def test_snapshots_of_another_fold_are_not_read(
    service: Service, folded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await happened(service, progress(1), progress(2))
    first = ledger(service)
    await first.read()
    folded.clear()
    monkeypatch.setattr(loops, "release", lambda: "another")
    second = ledger(service)
    await second.read()
    assert len(folded) == 2
    assert second.loops.by_name == first.loops.by_name


async def test_a_replica_that_is_behind_does_not_overwrite_one_that_is_further(
    service: Service,
) -> None:
    await happened(service, progress(1))
    behind = ledger(service)
    await behind.tick()
    await happened(service, progress(2))
    further = ledger(service)
    await further.tick()
    await further.keep()
    await behind.keep()
    third = ledger(service)
    await third.read()
    assert third.loops.by_name == further.loops.by_name


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list of positions from which parts are read from now on."""
    found: list[int] = []
    after = audit.after

    async def counted(session: Any, position: int, *more: Any) -> Any:
        found.append(position)
        return await after(session, position, *more)

    monkeypatch.setattr(audit, "after", counted)
    return found


async def test_all_who_ask_share_one_check_and_the_event_loop_stays_free(
    service: Service, parts: list[int]
) -> None:
    await happened(service, *(progress(n) for n in range(5000)))
    check = ChainCheck(service)
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)

    heart = asyncio.create_task(beat())
    parts.clear()
    found = await asyncio.gather(*(check.result() for _ in range(20)))
    heart.cancel()
    assert len(parts) == 5000 // 250 + 1
    assert all(one is not None and one.found.intact for one in found)
    assert {one.found.entries for one in found if one} == {5000}
    assert longest < 0.25  # 5,000 entries take longer than that; a part takes some milliseconds


async def test_a_long_chain_is_not_read_anew_for_everybody(
    service: Service, parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_SHARE", 1e-6)
    await happened(service, *(progress(n) for n in range(600)))
    check = ChainCheck(service)
    await check.result()
    await happened(service, progress(700))
    parts.clear()
    checked = await check.result()
    assert checked and checked.found.entries == 601
    assert parts == [600, 601], "only what came since"


async def test_a_changed_entry_is_found_at_the_next_whole_check(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await happened(service, *(progress(n) for n in range(600)))
    check = ChainCheck(service)
    first = await check.result()
    assert first and first.found.intact
    async with service.unit_of_work() as uow:
        await uow.session.execute(
            update(AuditRow).where(AuditRow.position == 300).values(summary="nothing happened")
        )
    monkeypatch.setattr(check, "_due", 0.0)
    second = await check.result()
    assert second and (second.found.intact, second.found.broken_at) == (False, 300)
    assert first.begun_at < second.begun_at <= datetime.now(UTC)


async def test_who_asks_is_not_kept_waiting_and_is_not_told_that_all_is_well(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await happened(service, progress(1))
    go_on = asyncio.Event()
    after = audit.after

    async def slow(*arguments: Any) -> Any:
        await go_on.wait()
        return await after(*arguments)

    monkeypatch.setattr(audit, "after", slow)
    monkeypatch.setattr(verification, "_WAIT_SECONDS", 0.05)
    check = ChainCheck(service)
    assert await check.result() is None
    go_on.set()
    monkeypatch.setattr(verification, "_WAIT_SECONDS", 5.0)
    checked = await check.result()
    assert checked and checked.found.intact
    await check.close()


async def test_a_check_that_cannot_read_says_so_and_the_next_one_is_made(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await happened(service, progress(1))
    after = audit.after

    async def away(*_: Any) -> Any:
        raise ConnectionError("the database is away")

    monkeypatch.setattr(audit, "after", away)
    check = ChainCheck(service)
    with pytest.raises(ConnectionError):
        await check.result()
    monkeypatch.setattr(audit, "after", after)
    checked = await check.result()
    assert checked and checked.found.entries == 1
