"""Events of leased jobs: what long work a service took on, and how it ended.

A service's journal about itself, written by the chassis: `headrace replay` makes its jobs again
from them. Payload and result are the service's own affair; nobody else reads them.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field

from headrace_events import topics
from headrace_events.envelope import EventData


class JobQueued(EventData):
    """A job was written down; `kind` and `key` name it once in its service."""

    TYPE: ClassVar[str] = "job.queued.v1"
    TOPIC: ClassVar[str] = topics.JOBS

    kind: str
    key: str
    payload: dict[str, Any] = Field(default_factory=dict)
    cause_type: str | None = None
    """Type of the event that caused it; its id is the envelope's `causationid`."""


class JobFinished(EventData):
    """A job ended; the state's other events were published in the same transaction."""

    TYPE: ClassVar[str] = "job.finished.v1"
    TOPIC: ClassVar[str] = topics.JOBS

    kind: str
    key: str
    state: Literal["done", "failed", "cancelled"]
    attempt: int
    payload: dict[str, Any] = Field(default_factory=dict)
    """As the last attempt had it: an attempt may have settled what was open."""
    result: dict[str, Any] = Field(default_factory=dict)
    """What became of it, where no other event says so."""
    reason: str | None = None
    cancel_requested: bool = False
