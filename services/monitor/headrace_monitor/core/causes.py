"""Which event raises which alert, in words: what is wrong, and what to do first.

Each names what ends it:

- `source/NAME`: the source is read, or the workload is applied anew.
- `dataset/refused`: a dataset version is curated, or the workload is applied anew.
- `canary/starving`: the candidate is asked, or the roll-out steps or ends.
- `dead-letters/SERVICE`: the last dead letter of the service was sent back or discarded.
- `crash-loop/SERVICE`: it has run for a while (see `uptime`).
- `service-down/SERVICE`: it answers again.
- `slo/`, `drift/`: see `slo` and `drift`; of other services: see `expiry`.
"""

from headrace_events.data import DatasetRejected, RecordsRejected
from headrace_events.monitoring import AlertRaised, DeadLetterWritten
from headrace_events.text import shortened

SOURCE = "source/"
DATASET = "dataset/refused"
STARVING = "canary/starving"
LETTERS = "dead-letters/"
LOOP = "crash-loop/"
DOWN = "service-down/"

_LONGEST_NAME = 200
_LONGEST_REASON = 300


def source(name: str) -> str:
    """Return the name of a source's alert."""
    return f"{SOURCE}{name[:_LONGEST_NAME]}"


def source_refused(fact: RecordsRejected, workload: str) -> AlertRaised:
    """Return the alert of a source that could not be read."""
    return AlertRaised(
        name=source(fact.source),
        severity="warning",
        summary=f"{fact.source} was refused and nothing of it was landed: {_cut(fact.reason)}",
        next_step=f"Mend the source or the manifest of {workload}, then `headrace apply -f` it.",
    )


def dataset_refused(fact: DatasetRejected, workload: str) -> AlertRaised | None:
    """Return the alert of records that make no dataset; None where there was nothing new."""
    if fact.used_up:
        return None
    return AlertRaised(
        name=DATASET,
        severity="warning",
        summary=f"no dataset was made, so nothing is trained: {_cut(fact.reason)}",
        next_step=f"Give {workload} more rows that pass its checks, or lower `spec.data.min_rows`.",
    )


def starving(
    workload: str, version: str, weight: int, *, seconds: float, ever: bool
) -> AlertRaised:
    """Return the alert of a canary whose candidate nobody asks."""
    length = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    since = f"no request for {length}" if ever else "no request yet at this step"
    return AlertRaised(
        name=STARVING,
        severity="warning",
        summary=f"the canary of version {version} starves at {weight} %: the candidate had {since}",
        next_step=f"Send requests to {workload}: without traffic a canary never advances. "
        f"`headrace rollback {workload}` ends it.",
    )


def letter_written(fact: DeadLetterWritten) -> AlertRaised:
    """Return the alert of a service's dead letters."""
    return AlertRaised(
        name=f"{LETTERS}{fact.service}",
        severity="warning",
        summary=f"{fact.service} could not handle a record of {fact.topic} and set it aside: "
        f"{fact.error}",
        next_step=f"`headrace dlq list --service {fact.service}` shows it; replay it when the "
        "cause is mended, or discard it.",
    )


def crash_loop(service: str, starts: int, minutes: float) -> AlertRaised:
    """Return the alert of a service that dies again and again."""
    return AlertRaised(
        name=f"{LOOP}{service}",
        severity="critical",
        summary=f"{service} dies again and again: it started {starts} times or more within "
        f"{minutes:.0f} minutes",
        next_step=f"`headrace logs {service}` ends with why it died; its events wait in Kafka.",
    )


def down(service: str) -> AlertRaised:
    """Return the alert of a service that does not answer."""
    return AlertRaised(
        name=f"{DOWN}{service}",
        severity="warning",
        summary=f"{service} does not answer",
        next_step=f"`headrace status` and `headrace logs {service}` say why; its events wait in "
        "Kafka.",
    )


def _cut(reason: str) -> str:
    return shortened(reason, _LONGEST_REASON)
