"""The harness on real services that are broken on purpose: what they lose or double is found.

The faults are planted here, in subclasses and wrappers; no service has a switch for them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace_bench.faults import effects
from headrace_bench.faults.counts import Count
from headrace_bench.faults.event_log import read_log
from headrace_bench.faults.sender import Sender
from headrace_bench.faults.state import Databases, table_rows
from headrace_bench.faults.traffic import ASKED, Traffic
from headrace_events import Event, new_id
from headrace_events.inference import InferenceGenerated, InferencePartGenerated, InferenceRequested
from headrace_guardrails.events import InputHandler, OutputHandler
from headrace_ingest.adapters import traffic_table
from headrace_kit import Service, ServiceSettings

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(180)]

REQUESTS = 120
_NUMBER_LOST, _NUMBER_TWICE = 31, 57


class Plant:
    """Breaks what happens to two requests; which ones is known once they are made."""

    def __init__(self) -> None:
        self.lost = self.twice = ""

    def spoil(self, outcomes: Sequence[Event[Any]]) -> list[Event[Any]]:
        kept = [event for event in outcomes if event.subject != self.lost]
        again = [event for event in kept if event.subject == self.twice]
        return [*kept, *(event.model_copy(update={"id": new_id()}) for event in again)]


class SpoiledOutput(OutputHandler):
    """Guardrails' last step with the plant in it."""

    def __init__(self, lookup: Callable[[str], Any], plant: Plant) -> None:
        super().__init__(lookup)
        self._plant = plant

    async def __call__(self, events: list[Event[Any]]) -> Sequence[Event[Any]]:
        return self._plant.spoil(await super().__call__(events))


def spoiled_guardrails(settings: ServiceSettings, plant: Plant) -> Service:
    service = Service("guardrails", settings)
    lookup = service.workloads.get
    service.stream("input", [InferenceRequested], InputHandler(lookup, 2.0))
    answers = [InferenceGenerated, InferencePartGenerated]
    service.stream("output", answers, SpoiledOutput(lookup, plant))
    return service


@asynccontextmanager
async def path(settings_for: Callable[..., Any], folder: Path, plant: Plant) -> AsyncIterator[Any]:
    """Run guardrails (spoiled), serving (echo), ingest and monitor in this process."""
    from headrace_ingest.app import build as ingest
    from headrace_ingest.settings import Settings as IngestSettings
    from headrace_monitor.app import build as monitor
    from headrace_monitor.settings import Settings as MonitorSettings
    from headrace_serving.app import build as serving
    from headrace_serving.settings import Settings as ServingSettings

    def own(name: str) -> dict[str, Any]:
        return {
            "database": {"url": f"sqlite+aiosqlite:///{folder / name}.db"},
            "instance": f"{name}-spoiled",
        }

    services = {
        "guardrails": spoiled_guardrails(settings_for(**own("guardrails")), plant),
        "serving": serving(
            settings_for(ServingSettings, serving={"engine": "echo"}, **own("serving"))
        ),
        "ingest": ingest(
            settings_for(
                IngestSettings, capture={"flush_seconds": 0.2, "judge_seconds": 0}, **own("ingest")
            )
        ),
        "monitor": monitor(settings_for(MonitorSettings, **own("monitor"))),
    }
    async with AsyncExitStack() as running:
        for service in services.values():
            await running.enter_async_context(service.running())
        yield Databases({name: one.settings.database.url for name, one in services.items()})


async def drive(
    kafka: str, settings_for: Callable[..., Any], folder: Path, plant: Plant
) -> dict[str, Count]:
    """Send requests, wait until all that is not spoiled is captured, count as the suite does."""
    traffic = Traffic(folder)
    asked = list(traffic.ask(REQUESTS))
    plant.lost = list(traffic.requests)[_NUMBER_LOST]
    plant.twice = list(traffic.requests)[_NUMBER_TWICE]
    storage = folder / "storage"
    async with path(settings_for, folder, plant) as databases, Sender(kafka) as sender:
        await sender.send_all((event, event.workload) for event in traffic.manifests())
        await sender.send_all(asked)
        until = time.monotonic() + 60
        while len(set(await table_rows(storage, "traffic", ASKED, "request_id"))) < REQUESTS - 1:
            assert time.monotonic() < until, "the requests were not captured"
            await asyncio.sleep(0.3)
        await asyncio.sleep(1.0)  # what comes twice comes after it came once
        log = await read_log(kafka)
        found = [
            *effects.outcomes(log, traffic),
            *await effects.captured(traffic, databases, storage),
        ]
    return {count.effect: count for count in found}


async def test_a_lost_and_a_doubled_outcome_are_found(
    kafka: str, settings_for: Callable[..., Any], tmp_path: Path
) -> None:
    plant = Plant()
    counts = await drive(kafka, settings_for, tmp_path, plant)
    outcomes = counts["request → outcome"]
    assert outcomes.expected == REQUESTS
    assert outcomes.lost == (plant.lost,)
    assert outcomes.twice == (plant.twice,)
    # Ingest and monitor know a request by its id: the loss shows there too, the double does not.
    for effect in ("outcome → row in traffic", "outcome → counted by monitor"):
        assert counts[effect].lost == (plant.lost,)
        assert not counts[effect].twice


async def test_a_lost_and_a_doubled_record_are_found(
    kafka: str,
    settings_for: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = Plant()
    append = traffic_table.append

    def spoiled(root: str, workload: str, commit_id: str, captured: Sequence[Any]) -> None:
        append(root, workload, commit_id, [c for c in captured if c.request_id != record.lost])
        again = [c for c in captured if c.request_id == record.twice]
        if again:
            append(root, workload, f"{commit_id}-again", again)

    monkeypatch.setattr(traffic_table, "append", spoiled)

    class Known(Plant):
        """Breaks nothing at guardrails; the two requests are spoiled in the table."""

        def spoil(self, outcomes: Sequence[Event[Any]]) -> list[Event[Any]]:
            record.lost, record.twice = self.lost, self.twice
            return list(outcomes)

    plant = Known()
    counts = await drive(kafka, settings_for, tmp_path, plant)
    assert counts["request → outcome"].exact
    assert counts["outcome is of its own request"].exact
    assert counts["outcome → counted by monitor"].exact
    assert counts["outcome → row in traffic"].lost == (plant.lost,)
    assert counts["outcome → row in traffic"].twice == (plant.twice,)
