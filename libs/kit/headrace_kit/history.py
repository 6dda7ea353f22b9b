"""What a service has emitted, as the log has it: a replay holds its own emissions against it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace_events import Event
from headrace_events.topics import BY_NAME


@dataclass
class History:
    """Ids and times of a service's own events in the log."""

    times: dict[str, datetime] = field(default_factory=dict)
    dead: set[tuple[str, int, int]] = field(default_factory=set)
    """Topic, partition and offset of what the service could not handle."""
    missing: list[str] = field(default_factory=list)
    """Ids that the replay derived and the log does not have, though it should."""

    def emitted(self, event: Event[Any]) -> datetime | None:
        """Return when an event was emitted, or None if the log does not have it."""
        return self.times.get(event.id)

    def is_missing(self, event: Event[Any]) -> bool:
        """Say whether an event was written but never published: its database died before.

        Only an outcome has an id that can be recognised, and only while its topic would still keep
        it; it is published when the service starts on the new database.
        """
        if event.causationid is None:
            return False
        retention = timedelta(milliseconds=BY_NAME[event.topic].retention_ms)
        if _moment(event.id) < datetime.now(UTC) - retention:
            return False
        self.missing.append(event.id)
        return True


def _moment(event_id: str) -> datetime:
    """Return the time in a derived id, which is its first cause's."""
    milliseconds = int(event_id.replace("-", "")[:12], 16)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
