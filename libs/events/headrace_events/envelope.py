"""The envelope: a CloudEvent, typed, and what it looks like as a Kafka record (binary mode)."""

import builtins
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from headrace_events.ids import derived_id, new_id

CONTENT_TYPE = "application/json"
TRACE_HEADERS = ("traceparent", "tracestate")
EXTENSIONS = ("workload", "causationid", "deadline")


class InvalidEvent(ValueError):
    """A Kafka record that is not an event of ours; the message never holds the payload."""


class WrongTopic(InvalidEvent):
    """An event on a topic that the catalogue does not name for its type.

    Who may write to a topic is decided by the topic: a type that is taken from any of them could be
    written by anybody who may write to one.
    """


class EventData(BaseModel):
    """Base of every event's payload; a consumer ignores fields that a newer producer added."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]
    FAST_TOPIC: ClassVar[str | None] = None
    """The fast lane of a type that has one; `priority` of the payload chooses the lane."""

    @property
    def destination(self) -> str:
        """The topic this payload travels on."""
        fast = self.FAST_TOPIC is not None and getattr(self, "priority", "normal") == "high"
        return self.FAST_TOPIC if fast and self.FAST_TOPIC else self.TOPIC

    @classmethod
    def topics(cls) -> tuple[str, ...]:
        """Every topic that payloads of this type travel on."""
        return (cls.TOPIC, cls.FAST_TOPIC) if cls.FAST_TOPIC else (cls.TOPIC,)

    def problem_in(self, workload: str) -> str | None:
        """Say what is wrong with a payload in an event of `workload`; None when they agree."""
        return None


DataT_co = TypeVar("DataT_co", bound=EventData, covariant=True)


class Event(BaseModel, Generic[DataT_co]):
    """One event: the CloudEvents attributes, Headrace's extensions and the payload."""

    model_config = ConfigDict(frozen=True)

    id: str
    source: str
    subject: str
    workload: str
    time: datetime
    data: DataT_co
    causationid: str | None = None
    deadline: datetime | None = None
    traceparent: str | None = None
    tracestate: str | None = None

    @property
    def type(self) -> str:
        """The CloudEvents type, e.g. `dataset.curated.v1`."""
        return self.data.TYPE

    @property
    def topic(self) -> str:
        """The topic this event belongs on."""
        return self.data.destination

    @classmethod
    def new(
        cls,
        data: Any,
        *,
        source: str,
        workload: str,
        subject: str = "",
        cause: "Event[Any] | None" = None,
        discriminator: str = "",
        deadline: datetime | None = None,
        traceparent: str | None = None,
    ) -> Self:
        """Make an event; with a `cause` its id is derived, its trace and deadline inherited."""
        if cause is None:
            identity = new_id()
        else:
            identity = derived_id(cause.id, data.TYPE, discriminator)
            deadline = deadline or cause.deadline
            traceparent = traceparent or cause.traceparent
        return cls(
            id=identity,
            source=f"/headrace/{source}",
            subject=subject or workload,
            workload=workload,
            time=datetime.now(UTC),
            data=data,
            causationid=cause.id if cause else None,
            deadline=deadline,
            traceparent=traceparent,
            tracestate=cause.tracestate if cause else None,
        )

    def headers(self) -> dict[str, str]:
        """Return the Kafka headers of the binary mode."""
        found = {
            "content-type": CONTENT_TYPE,
            "ce_specversion": "1.0",
            "ce_id": self.id,
            "ce_source": self.source,
            "ce_type": self.type,
            "ce_time": self.time.isoformat(),
        }
        # An attribute without a value is left out: CloudEvents has no empty ones.
        if self.subject:
            found["ce_subject"] = self.subject
        if self.workload:
            found["ce_workload"] = self.workload
        if self.causationid:
            found["ce_causationid"] = self.causationid
        if self.deadline:
            found["ce_deadline"] = self.deadline.isoformat()
        for name in TRACE_HEADERS:
            value = getattr(self, name)
            if value:
                found[name] = value
        return found

    def body(self) -> bytes:
        """Return the payload as JSON bytes."""
        return self.data.model_dump_json().encode()


DataT = TypeVar("DataT", bound=EventData)
# Once: pydantic looks a parametrised class up at each subscription. The payload is validated by its
# own model.
_AnyEvent = Event[Any]


@dataclass(slots=True)
class RawEvent:
    """An event before its payload is validated: attributes and undecoded data."""

    type: str
    attributes: dict[str, Any]
    payload: Any = field(repr=False)
    """Bytes of JSON, or in structured mode the JSON value itself."""
    datacontenttype: str = CONTENT_TYPE

    def load(self, model: builtins.type[DataT], topic: str | None = None) -> Event[DataT]:
        """Validate the payload against `model`; raise InvalidEvent naming fields, not values.

        With the `topic` that it was read from, raise WrongTopic where that is none of its type's.
        """
        if topic is not None and topic not in model.topics():
            raise WrongTopic(f"{self.type} does not belong on this topic")
        if not _JSON.match(self.datacontenttype):
            raise InvalidEvent(f"{self.type} is JSON, but datacontenttype says something else")
        try:
            # `ignore` also where a model forbids unknown fields: a manifest with a field of the
            # next release is refused when it is applied, not when a service reads it.
            data = (
                model.model_validate_json(self.payload, extra="ignore")
                if isinstance(self.payload, bytes)
                else model.model_validate(self.payload, extra="ignore")
            )
            if problem := data.problem_in(self.attributes["workload"]):
                raise InvalidEvent(f"{self.type} {problem}")
            # model_construct would skip the attributes' checks; the payload is validated already.
            return _AnyEvent.model_validate({**self.attributes, "data": data})
        except ValidationError as error:
            fields = sorted({_path(e["loc"]) + ": " + e["type"] for e in error.errors()})
            # `from None`: pydantic's own message quotes the input, which may be a user's text.
            raise InvalidEvent(
                f"{self.type} does not fit its schema: {', '.join(fields)}"
            ) from None


_JSON = re.compile(
    r"\s*(application/json|text/json|[^/;\s]+/[^/;\s]+\+json)\s*(;|$)", re.IGNORECASE
)


def _path(loc: Iterable[Any]) -> str:
    return ".".join(str(part) for part in loc) or "body"
