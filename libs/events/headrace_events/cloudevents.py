"""Reads Kafka records as CloudEvents 1.0: binary and structured mode of the Kafka protocol binding.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
Unlike HTTP's, this binding takes header values as they are: nothing is percent-encoded.
"""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from headrace_events.envelope import (
    CONTENT_TYPE,
    EXTENSIONS,
    TRACE_HEADERS,
    InvalidEvent,
    RawEvent,
)

_CLOUDEVENTS = "application/cloudevents"
_STRUCTURED = "application/cloudevents+json"
_REQUIRED = ("id", "source", "type", "specversion")
_OPTIONAL = ("subject", "time", "dataschema", "datacontenttype")
_KNOWN = frozenset({*_REQUIRED, *_OPTIONAL, *EXTENSIONS, *TRACE_HEADERS})
_KEPT = ("id", "source", "subject", "time", *EXTENSIONS, *TRACE_HEADERS)
# W3C has at least 512 characters of tracestate passed on; each event after this one carries it.
_MOST_TRACE_BYTES = 4096
_OURS = frozenset({"content-type", *(f"ce_{name}" for name in _KNOWN), *TRACE_HEADERS})
_NAME = re.compile(r"[a-z0-9]+")
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+\s*(;.*)?", re.ASCII)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
# What a CloudEvents string may not hold: control characters and halves of surrogate pairs.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def parse(headers: Mapping[str, str | bytes | None], value: bytes | None) -> RawEvent:
    """Read a Kafka record; raise InvalidEvent, never quoting a value, if it is no CloudEvent.

    Headers that are not CloudEvents' or the trace's are somebody else's: they are not even decoded.
    """
    text, trace = _ours(headers)
    content_type = text.get("content-type", "")
    payload: Any
    if content_type.lower().startswith(_CLOUDEVENTS):
        attributes, payload = _structured(content_type, value)
    else:
        attributes = {k[3:]: v for k, v in text.items() if k.startswith("ce_")}
        attributes["datacontenttype"] = content_type or CONTENT_TYPE
        payload = value or b""
    _check(attributes)
    # Trace context: the record's own headers, or the extension of a structured event.
    attributes.update(trace)
    kept: dict[str, Any] = {name: attributes[name] for name in _KEPT if attributes.get(name)}
    kept.setdefault("workload", "")
    kept.setdefault("subject", kept["workload"])
    kept.setdefault("time", datetime.now(UTC))
    return RawEvent(
        type=attributes["type"],
        attributes=kept,
        payload=payload,
        datacontenttype=attributes.get("datacontenttype", CONTENT_TYPE),
    )


def _ours(headers: Mapping[str, str | bytes | None]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers that CloudEvents has, and those of the trace.

    A header without a value stands for an attribute that is not there. A trace that cannot be read
    is no reason to refuse an event: W3C has it dropped.
    """
    text: dict[str, str] = {}
    trace: dict[str, str] = {}
    try:
        for given, value in headers.items():
            if not value:
                continue
            name = given if given in _OURS else given.lower()
            if name in TRACE_HEADERS:
                if len(value) <= _MOST_TRACE_BYTES and value.isascii():
                    trace[name] = value.decode() if isinstance(value, bytes) else value
            elif name in _OURS or name.startswith("ce_"):
                text[name] = value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError:
        raise InvalidEvent("a header is not UTF-8") from None
    return text, trace


def _structured(content_type: str, value: bytes | None) -> tuple[dict[str, Any], Any]:
    if content_type.partition(";")[0].strip().lower() != _STRUCTURED:
        raise InvalidEvent(f"the only structured mode that is read is {_STRUCTURED}")
    try:
        document = json.loads(value or b"")
    except (ValueError, RecursionError):
        raise InvalidEvent("structured event is not JSON") from None
    if not isinstance(document, dict):
        raise InvalidEvent("structured event is not a JSON object")
    data, encoded = document.pop("data", None), document.pop("data_base64", None)
    if data is not None and encoded is not None:
        raise InvalidEvent("structured event has both data and data_base64")
    payload = data if encoded is None else _decoded(encoded)
    # In JSON, null stands for an attribute that is not there.
    attributes = {name: value for name, value in document.items() if value is not None}
    _check_values(attributes)
    return attributes, b"" if payload is None else payload


def _decoded(encoded: Any) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError):
        raise InvalidEvent("data_base64 is not Base64") from None


def _check_values(attributes: Mapping[str, Any]) -> None:
    """Check what only JSON can get wrong: the types of values, and empty ones."""
    for name, value in attributes.items():
        if name in _OPTIONAL and not _is_text(value):
            raise InvalidEvent(f"{name} is empty or not text")
        if not isinstance(value, str | bool | int):
            raise InvalidEvent("an attribute is neither text, integer nor boolean")


def _check(attributes: Mapping[str, Any]) -> None:
    missing = [name for name in _REQUIRED if not _is_text(attributes.get(name))]
    if missing:
        raise InvalidEvent(f"CloudEvents attributes missing or not text: {', '.join(missing)}")
    if attributes["specversion"] != "1.0":
        raise InvalidEvent("specversion is not 1.0")
    for name in attributes.keys() - _KNOWN:
        if not _NAME.fullmatch(name):
            raise InvalidEvent("an attribute has other characters in its name than a-z and 0-9")
    if _FORBIDDEN.search("".join(map(str, attributes.values()))):
        raise InvalidEvent("an attribute has control characters")
    for name in ("time", "deadline"):
        if name in attributes and not _is_timestamp(attributes[name]):
            raise InvalidEvent(f"{name} is not an RFC 3339 timestamp with its offset")
    if not _is_media_type(attributes.get("datacontenttype", CONTENT_TYPE)):
        raise InvalidEvent("datacontenttype is no media type")


@lru_cache(maxsize=64)  # the few that there are come with every record
def _is_media_type(text: str) -> bool:
    return bool(_MEDIA_TYPE.fullmatch(text.strip()))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_timestamp(value: Any) -> bool:
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        return False
    try:
        # In UTC too: an hour before the year 1 is no moment that a database could keep.
        datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True
