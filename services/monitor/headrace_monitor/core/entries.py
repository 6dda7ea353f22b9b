"""From a control event to what is kept of it: one line of summary and its facts."""

from typing import Any

from headrace_events import Event, EventData, workload
from headrace_events.sentences import summary
from headrace_monitor.core.audit import Entry


def entry(event: Event[Any], trace_id: str | None) -> Entry:
    """Return the audit entry of a control event."""
    return Entry(
        event_id=event.id,
        type=event.type,
        source=event.source.removeprefix("/headrace/"),
        workload=event.workload,
        subject=event.subject,
        time=event.time,
        causation_id=event.causationid,
        trace_id=trace_id,
        summary=summary(event.data),
        facts=facts(event.data),
    )


def facts(payload: EventData) -> dict[str, Any]:
    """Return the payload as JSON; a manifest's system message is the team's text and left out."""
    found: dict[str, Any] = payload.model_dump(mode="json")
    if isinstance(payload, workload.WorkloadApplied):
        found["manifest"]["spec"].pop("system", None)
    return found
