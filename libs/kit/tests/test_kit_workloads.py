"""The newest manifest holds, in whatever order they come."""

from datetime import timedelta, timezone
from pathlib import Path

import pytest

from headrace_events import Event
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Service, ServiceSettings, UnitOfWork
from headrace_kit.workloads import Workloads


def applied(owner: str) -> Event[WorkloadApplied]:
    manifest = Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": "support-intents", "owner": owner},
        }
    )
    return Event.new(
        WorkloadApplied(revision=manifest.revision(), manifest=manifest),
        source="test",
        workload="support-intents",
    )


@pytest.fixture
async def service(tmp_path: Path):
    url = f"sqlite+aiosqlite:///{tmp_path}/service.db"
    found = Service("data-quality", ServiceSettings(database={"url": url}))
    await found.database.create()
    yield found
    await found.database.close()


async def test_an_older_manifest_that_comes_late_does_not_win(service: Service) -> None:
    first, second = applied("first"), applied("second")
    second = second.model_copy(update={"time": first.time + timedelta(minutes=1)})
    newest: list[tuple[str, bool]] = []

    async def beside(event: Event[WorkloadApplied], uow: UnitOfWork) -> None:
        newest.append(
            (event.data.manifest.metadata.owner, await service.workloads.is_newest(event, uow))
        )

    service.on(WorkloadApplied, beside)
    control = service.replayable.control
    for event in (second, first):
        await control.replay(event)
    assert newest == [("second", True), ("first", False)]
    in_memory = service.workloads.get("support-intents")
    stored = Workloads()
    await stored.load(service.database)
    on_disk = stored.get("support-intents")
    for found in (in_memory, on_disk):
        assert found is not None and found.metadata.owner == "second"
    # A newer one does, with the same time too: ids tell.
    third = applied("third").model_copy(update={"time": second.time})
    await control.replay(third)
    assert newest[-1] == ("third", True)


@pytest.mark.parametrize("hours", [-7, 2])
async def test_the_clock_of_another_time_zone_decides_nothing(service: Service, hours: int) -> None:
    """A tool that is not ours may write `+02:00`, as RFC 3339 has it."""
    abroad = timezone(timedelta(hours=hours))
    first, second, third = applied("first"), applied("second"), applied("third")
    second = second.model_copy(update={"time": first.time + timedelta(minutes=1)})
    third = third.model_copy(update={"time": first.time + timedelta(minutes=2)})
    local = second.model_copy(update={"time": second.time.astimezone(abroad)})
    control = service.replayable.control
    for event, owner in ((local, "second"), (first, "second"), (third, "third")):
        await control.replay(event)
        held = service.workloads.get("support-intents")
        assert held is not None and held.metadata.owner == owner
