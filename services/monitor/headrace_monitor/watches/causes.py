"""Handlers of the events that raise alerts or end them; the words are in `core.causes`."""

from datetime import timedelta

from headrace_events import Event
from headrace_events.data import (
    DatasetCurated,
    DatasetRejected,
    RecordsLanded,
    RecordsRejected,
)
from headrace_events.monitoring import DeadLetterReplayed, DeadLetterWritten, ServiceStarted
from headrace_events.rollout import RolloutFinished, RolloutStepped
from headrace_events.workload import WorkloadApplied
from headrace_kit import Service, UnitOfWork
from headrace_monitor.adapters import alerts, uptime
from headrace_monitor.core import causes
from headrace_monitor.core import uptime as rules


def subscribe(service: Service) -> None:
    """Register them."""
    service.on(RecordsRejected, _source_refused)
    service.on(RecordsLanded, _source_read)
    service.on(DatasetRejected, _dataset_refused)
    service.on(DatasetCurated, _dataset_made)
    service.on(WorkloadApplied, _applied)
    service.on(RolloutStepped, _rollout_moves)
    service.on(RolloutFinished, _rollout_moves)
    service.on(ServiceStarted, _started)
    service.on(DeadLetterWritten, _letter_written)
    service.on(DeadLetterReplayed, _letter_dealt_with)


async def _source_refused(event: Event[RecordsRejected], uow: UnitOfWork) -> None:
    alert = causes.source_refused(event.data, event.workload)
    await alerts.raise_in(uow, event.workload, alert)


async def _source_read(event: Event[RecordsLanded], uow: UnitOfWork) -> None:
    name = causes.source(event.data.source)
    await alerts.end_in(uow, event.workload, name, "the source was read")


async def _dataset_refused(event: Event[DatasetRejected], uow: UnitOfWork) -> None:
    if alert := causes.dataset_refused(event.data, event.workload):
        await alerts.raise_in(uow, event.workload, alert)


async def _dataset_made(event: Event[DatasetCurated], uow: UnitOfWork) -> None:
    version = event.data.dataset.version
    reason = f"version {version} of the dataset was made"
    await alerts.end_in(uow, event.workload, causes.DATASET, reason)


async def _applied(event: Event[WorkloadApplied], uow: UnitOfWork) -> None:
    """Another manifest is read anew: what it names and cannot be read is refused again."""
    for prefix in (causes.SOURCE, causes.DATASET):
        for row in await alerts.open_names(uow.session, prefix, event.workload):
            # The topics are two: a refusal of this manifest may have come before it.
            if row.raised_at < event.time:
                await alerts.end_in(uow, event.workload, row.name, "the workload was applied anew")


async def _rollout_moves(
    event: Event[RolloutStepped] | Event[RolloutFinished], uow: UnitOfWork
) -> None:
    await alerts.end_in(uow, event.workload, causes.STARVING, "the roll-out moved on")


async def _started(event: Event[ServiceStarted], uow: UnitOfWork) -> None:
    fact = event.data
    await uptime.put_start(uow.session, event.id, fact.service, fact.instance, event.time)
    if not fact.declared:
        return  # its next life has another name: five starts may be five replicas
    since = event.time - rules.WITHIN - timedelta(seconds=1)
    starts = await uptime.starts(uow.session, fact.service, fact.instance, since)
    if rules.loops(starts):
        minutes = rules.WITHIN.total_seconds() / 60
        loop = causes.crash_loop(fact.service, rules.STARTS, minutes)
        await alerts.raise_in(uow, alerts.PLATFORM, loop)


async def _letter_written(event: Event[DeadLetterWritten], uow: UnitOfWork) -> None:
    fact = event.data
    await uptime.put_letter(uow.session, fact.service, fact.partition, fact.offset, event.time)
    alert = causes.letter_written(fact)
    # One alert for all of them: a hundred within a minute are not a hundred alerts.
    if not await alerts.is_raised(uow.session, alerts.PLATFORM, alert.name):
        await alerts.raise_in(uow, alerts.PLATFORM, alert)


async def _letter_dealt_with(event: Event[DeadLetterReplayed], uow: UnitOfWork) -> None:
    fact = event.data
    await uptime.close_letter(uow.session, fact.service, fact.partition, fact.offset)
    if not await uptime.letters(uow.session, fact.service):
        name = f"{causes.LETTERS}{fact.service}"
        await alerts.end_in(uow, alerts.PLATFORM, name, "none of its dead letters is left")
