"""OTLP's encoding of spans, by hand: protobuf's wire format of an ExportTraceServiceRequest.

The generated classes take ten times as long. Held against them, field by field, in the tests; the
numbers are those of opentelemetry/proto/trace/v1/trace.proto, stable since 1.0.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from headrace_kit.spans import RecordedSpan

_SCOPE_NAME = "headrace"
_TWO_IDS = struct.Struct(">QQ")
_FIXED64 = struct.Struct("<Q")
_DOUBLE = struct.Struct("<d")
_FLAGS = b"\x85\x01" + struct.pack("<I", 1)  # field 16, fixed32: sampled
_VARINT_LIMIT = 0x80
_UINT64 = (1 << 64) - 1


def encode(spans: Iterable[RecordedSpan], resource: Mapping[str, Any]) -> bytes:
    """One request with all spans, of one resource and one scope."""
    scope = _message(1, _text(1, _SCOPE_NAME))
    body = scope + b"".join([_message(2, _span(span)) for span in spans])
    described = b"".join(_message(1, _pair(name, value)) for name, value in resource.items())
    return _message(1, _message(1, described) + _message(2, body))


def _span(span: RecordedSpan) -> bytes:
    context = span.context
    trace_id = context.trace_id
    parts = [
        b"\x0a\x10",  # 1: trace id, 16 bytes
        _TWO_IDS.pack(trace_id >> 64, trace_id & _UINT64),
        b"\x12\x08",  # 2: span id, 8 bytes
        context.span_id.to_bytes(8, "big"),
    ]
    if context.trace_state:
        parts.append(_text(3, context.trace_state.to_header()))
    if span.parent_id:
        parts += (b"\x22\x08", span.parent_id.to_bytes(8, "big"))  # 4: parent's id
    parts += (
        _cached_text(5, span.name),
        bytes((0x30, span.kind.value + 1)),  # 6: kind; the API counts from 0, the protocol from 1
        b"\x39",  # 7: start, fixed64
        _FIXED64.pack(span.start_ns),
        b"\x41",  # 8: end, fixed64
        _FIXED64.pack(span.end_ns),
    )
    parts += [_attribute(name, value) for name, value in span.attributes.items()]
    if span.status.value:
        text = _text(2, span.status_text) if span.status_text else b""
        parts.append(_message(15, text + bytes((0x18, span.status.value))))
    parts.append(_FLAGS)
    return b"".join(parts)


def _attribute(name: str, value: Any) -> bytes:
    """Field 9. What repeats from span to span is encoded once; ids do not repeat."""
    if type(value) is str and not name.endswith("_id"):
        return _cached_attribute(name, value)
    return _message(9, _pair(name, value))


@lru_cache(maxsize=4096)
def _cached_attribute(name: str, value: str) -> bytes:
    return _message(9, _pair(name, value))


@lru_cache(maxsize=1024)
def _cached_text(field: int, text: str) -> bytes:
    return _text(field, text)


def _pair(name: str, value: Any) -> bytes:
    return _cached_text(1, name) + _message(2, _value(value))


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return _text(1, value)
    if isinstance(value, bool):
        return bytes((0x10, value))
    if isinstance(value, int):
        return b"\x18" + _varint(value & _UINT64)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    if isinstance(value, Sequence):
        return _message(5, b"".join(_message(1, _value(item)) for item in value))
    return _text(1, str(value))


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode("utf-8", "replace"))


def _message(field: int, body: bytes) -> bytes:
    """A field of wire type 2: text, bytes or a message within."""
    size = len(body)
    if size < _VARINT_LIMIT:  # all fields in use here have one-byte tags
        return bytes((field << 3 | 2, size)) + body
    return bytes((field << 3 | 2,)) + _varint(size) + body


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= _VARINT_LIMIT:
        found.append(number & 0x7F | _VARINT_LIMIT)
        number >>= 7
    found.append(number)
    return bytes(found)
