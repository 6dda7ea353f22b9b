"""The envelope: CloudEvents 1.0 in Kafka's binary mode, with structured mode accepted."""

import builtins
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headrace_events.ids import derived_id, new_id

CONTENT_TYPE = "application/json"
STRUCTURED_CONTENT_TYPE = "application/cloudevents+json"
_TRACE_HEADERS = ("traceparent", "tracestate")
_EXTENSIONS = ("workload", "causationid", "deadline")


class InvalidEvent(ValueError):
    """A Kafka record that is not an event of ours; the message never holds the payload."""


class EventData(BaseModel):
    """Base of every event's payload; a consumer ignores fields that a newer producer added."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]
    FAST_TOPIC: ClassVar[str | None] = None
    """The fast lane of a type that has one; `priority` of the payload chooses the lane."""

    @property
    def topic(self) -> str:
        """The topic this payload travels on."""
        fast = self.FAST_TOPIC is not None and getattr(self, "priority", "normal") == "high"
        return self.FAST_TOPIC if fast and self.FAST_TOPIC else self.TOPIC

    @classmethod
    def topics(cls) -> tuple[str, ...]:
        """Every topic that payloads of this type travel on."""
        return (cls.TOPIC, cls.FAST_TOPIC) if cls.FAST_TOPIC else (cls.TOPIC,)


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
        return self.data.topic

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
            "ce_subject": self.subject,
            "ce_time": self.time.isoformat(),
            "ce_workload": self.workload,
        }
        if self.causationid:
            found["ce_causationid"] = self.causationid
        if self.deadline:
            found["ce_deadline"] = self.deadline.isoformat()
        for name in _TRACE_HEADERS:
            value = getattr(self, name)
            if value:
                found[name] = value
        return found

    def body(self) -> bytes:
        """Return the payload as JSON bytes."""
        return self.data.model_dump_json().encode()


DataT = TypeVar("DataT", bound=EventData)


class RawEvent(BaseModel):
    """An event before its payload is validated: attributes and undecoded data."""

    type: str
    attributes: dict[str, Any]
    payload: bytes | dict[str, Any] = Field(repr=False)

    def load(self, model: builtins.type[DataT]) -> Event[DataT]:
        """Validate the payload against `model`; raise InvalidEvent naming fields, not values."""
        try:
            data = (
                model.model_validate_json(self.payload)
                if isinstance(self.payload, bytes)
                else model.model_validate(self.payload)
            )
            # model_construct would skip the attributes' checks; the payload is validated already.
            return Event[DataT].model_validate({**self.attributes, "data": data})
        except ValidationError as error:
            fields = sorted({_path(e["loc"]) + ": " + e["type"] for e in error.errors()})
            # `from None`: pydantic's own message quotes the input, which may be a user's text.
            raise InvalidEvent(
                f"{self.type} does not fit its schema: {', '.join(fields)}"
            ) from None


def _path(loc: Iterable[Any]) -> str:
    return ".".join(str(part) for part in loc) or "body"


def parse(headers: Mapping[str, str | bytes], value: bytes | None) -> RawEvent:
    """Read a Kafka record in binary or structured mode; raise InvalidEvent if it is neither."""
    try:
        text = {
            k.lower(): v.decode() if isinstance(v, bytes) else str(v) for k, v in headers.items()
        }
    except UnicodeDecodeError:
        raise InvalidEvent("a header is not UTF-8") from None
    payload: bytes | dict[str, Any]
    if text.get("content-type", "").lower().startswith(STRUCTURED_CONTENT_TYPE):
        attributes, payload = _structured(value)
    else:
        attributes = {k[3:]: v for k, v in text.items() if k.startswith("ce_")}
        payload = value or b""
    missing = [k for k in ("id", "source", "type", "specversion") if not _is_text(attributes, k)]
    if missing:
        raise InvalidEvent(f"CloudEvents attributes missing or not text: {', '.join(missing)}")
    if attributes["specversion"] != "1.0":
        raise InvalidEvent("specversion is not 1.0")
    kept = {k: attributes[k] for k in ("id", "source", "subject", "time") if attributes.get(k)}
    kept |= {k: attributes[k] for k in _EXTENSIONS if attributes.get(k)}
    kept.setdefault("workload", "")
    kept.setdefault("subject", kept["workload"])
    kept.setdefault("time", datetime.now(UTC))
    kept |= {k: text[k] for k in _TRACE_HEADERS if text.get(k)}
    return RawEvent(type=attributes["type"], attributes=kept, payload=payload)


def _is_text(attributes: Mapping[str, Any], name: str) -> bool:
    value = attributes.get(name)
    return isinstance(value, str) and bool(value)


def _structured(value: bytes | None) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        document = json.loads(value or b"")
    except (ValueError, UnicodeDecodeError):
        raise InvalidEvent("structured event is not JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict):
        raise InvalidEvent("structured event has no JSON object in `data`")
    payload = document.pop("data")
    return document, payload
