"""What each acknowledged event must have led to, held against topics, databases and tables."""

from collections.abc import Iterable
from pathlib import Path

from headrace_bench.faults.counts import Count, count, rows
from headrace_bench.faults.event_log import EventLog, Logged
from headrace_bench.faults.state import Databases, table_rows
from headrace_bench.faults.traffic import ASKED, Traffic
from headrace_events import EventData
from headrace_events.data import (
    DatasetCurated,
    DatasetRejected,
    RecordsLanded,
    RecordsRejected,
)
from headrace_events.evaluation import EvaluationFailed, EvaluationRequested
from headrace_events.inference import InferenceCompleted, InferenceRejected
from headrace_events.models import ModelApproved, ModelRejected
from headrace_events.monitoring import AlertRaised, DriftDetected
from headrace_events.rollout import RollbackRequested, RolloutFinished
from headrace_events.topics import BY_NAME
from headrace_events.training import TrainingCompleted, TrainingFailed, TrainingRequested
from headrace_events.workload import WorkloadApplied

Acknowledged = dict[str, list[str]]


def outcomes(log: EventLog, traffic: Traffic) -> list[Count]:
    """One outcome event for each request, and the right one."""
    found = list(log.of(InferenceCompleted, InferenceRejected))
    wrong = [event for event in found if not _is_right(event, traffic)]
    return [
        count("request → outcome", traffic.requests, ((e.subject, e.id) for e in found)),
        Count(
            "outcome is of its own request",
            expected=len({e.id for e in found}),
            lost=tuple(dict.fromkeys(e.subject for e in wrong)),
        ),
    ]


def _is_right(event: Logged, traffic: Traffic) -> bool:
    asked = traffic.requests.get(event.subject)
    if asked is None:
        return True
    if event.raw.type == InferenceRejected.TYPE:
        return asked.refused and event.data(InferenceRejected).reason == "guardrail"
    return not asked.refused and asked.mark in event.data(InferenceCompleted).text


async def captured(traffic: Traffic, databases: Databases, storage: Path) -> list[Count]:
    """Each outcome once in ingest's Delta table and once with the monitor; each rating once."""
    in_table = await table_rows(storage, "traffic", ASKED, "request_id", "rating")
    counted = await databases.rows("monitor", "select request_id from outcomes")
    revisions = await databases.rows("ingest", "select request_id, revision from feedback")
    raw = await table_rows(storage, "raw", ASKED, "origin")
    taken = [str(origin) for (origin,) in raw]
    return [
        count("outcome → row in traffic", traffic.requests, rows(r for r, _ in in_table)),
        count("outcome → counted by monitor", traffic.requests, rows(r for (r,) in counted)),
        # A revision is one more handling of feedback on the same request.
        count(
            "feedback → kept by ingest",
            traffic.rated,
            ((name, str(number)) for name, revision in revisions for number in range(revision)),
        ),
        count(
            "feedback → rating in traffic",
            traffic.rated,
            rows(name for name, rating in in_table if rating == traffic.rated.get(name)),
        ),
        # The last batch is not full and waits: what is there must be there once.
        count("liked or corrected → raw row", set(taken), rows(taken)),
    ]


async def landed(log: EventLog, traffic: Traffic, storage: Path) -> list[Count]:
    """Each source landed once, each row of it once, each batch in one dataset's outcome."""
    applied = [e.id for e in log.of(WorkloadApplied) if e.workload in traffic.prompts]
    wanted: list[str] = []
    found: list[str] = []
    for workload, prompts in traffic.prompts.items():
        wanted += prompts
        found += [str(p) for (p,) in await table_rows(storage, "raw", workload, "prompt")]
    return [
        count("manifest → records landed", applied, _caused(log, RecordsLanded, RecordsRejected)),
        count("source row → raw row", wanted, rows(found)),
        *curated(log),
    ]


def curated(log: EventLog) -> list[Count]:
    """Each batch in one dataset, or in none so far; no decision on the same batches taken twice.

    Batches that are too few for a dataset wait and are decided on again together with the next.
    """
    landed_batches = [e.data(RecordsLanded).batch_id for e in log.of(RecordsLanded)]
    decided: list[tuple[str, str]] = []
    decisions: list[tuple[str, str]] = []
    for model, kind in ((DatasetCurated, ""), (DatasetRejected, "rejected")):
        for event in log.of(model):
            batches = event.data(model).batches
            decided += [(batch, kind or event.id) for batch in batches]
            if batches:
                decisions.append((f"{event.workload}: {' '.join(sorted(batches))}", event.id))
    # A rejection before the dataset is the wait, not a second effect.
    in_dataset = {batch for batch, kind in decided if kind != "rejected"}
    final = [(b, kind) for b, kind in decided if kind != "rejected" or b not in in_dataset]
    return [
        count("batch → dataset curated or rejected", landed_batches, final),
        count("same batches → one decision", (batches for batches, _ in decisions), decisions),
    ]


async def controlled(
    log: EventLog, acknowledged: Acknowledged, databases: Databases
) -> list[Count]:
    """Each control event has its one outcome event, and its one row where it has none."""

    def sent(model: type[EventData]) -> list[str]:
        return acknowledged.get(model.TYPE, [])

    trail = await databases.rows("registry", "select event_id from version_events")
    noted = rows(name for (name,) in trail)
    datasets = log.ids([DatasetCurated])
    failed = list(_caused(log, TrainingFailed))
    return [
        count("drift → dataset rejected", sent(DriftDetected), _caused(log, DatasetRejected)),
        count("training requested → failed", sent(TrainingRequested), failed),
        count("dataset curated → training failed", datasets, failed),
        count(
            "evaluation requested → failed",
            sent(EvaluationRequested),
            _caused(log, EvaluationFailed),
        ),
        count("evaluation failed → registry's trail", log.ids([EvaluationFailed]), noted),
        count(
            "training completed → model rejected",
            sent(TrainingCompleted),
            _caused(log, ModelRejected),
        ),
        count(
            "training completed → alert raised", sent(TrainingCompleted), _caused(log, AlertRaised)
        ),
        # The last approval's canary is still on.
        count(
            "model approved → canary before ended",
            _in_order(log, ModelApproved)[1:],
            _caused(log, RolloutFinished),
        ),
        count("rollback requested → registry's trail", sent(RollbackRequested), noted),
    ]


async def audited(log: EventLog, databases: Databases) -> list[Count]:
    """Each control event once in the monitor's audit chain, whose positions have no gap."""
    entries = await databases.rows("monitor", "select event_id, type, position from audit")
    ids = [e.id for events in log.events.values() for e in events if _is_audited(e)]
    positions = [str(position) for _, _, position in entries]
    return [
        count("control event → audit entry", ids, rows(name for name, _, _ in entries)),
        count("audit position", map(str, range(1, len(entries) + 1)), rows(positions)),
    ]


def _is_audited(event: Logged) -> bool:
    # The monitor audits all that it consumes but traffic.
    traffic = event.raw.type.startswith(("inference.", "feedback.", "guardrail."))
    return "monitor" in BY_NAME[event.topic].consumers and not traffic


def _caused(log: EventLog, *models: type[EventData]) -> Iterable[tuple[str, str]]:
    return [(event.cause, event.id) for event in log.of(*models)]


def _in_order(log: EventLog, model: type[EventData]) -> list[str]:
    return log.ids([model])
