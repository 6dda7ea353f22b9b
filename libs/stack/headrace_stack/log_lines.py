"""Lines of the parts' logs, whoever wrote them: read, chosen, merged by time, shown."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
_NAMES = {"warn": "warning", "fatal": "critical", "severe": "error", "trace": "debug"}
_PLAIN = re.compile(
    r"\[?(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?)\]?,?\s+"
    r"\[?(?:(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\]?[:\s]\s*)?(.*)"
)
"""Kafka's, Ray's and MLflow's lines: a time, mostly a level, and the rest."""
_SHOWN_ELSEWHERE = {"timestamp", "time", "level", "service", "event", "logger"}
_TRACE = 8
FAILED = 500


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log; one without a time of its own has that of the line before it."""

    part: str
    at: datetime
    level: str
    event: str
    fields: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] | None = None
    """The line as the service wrote it, where that is a JSON object."""

    def as_json(self) -> str:
        """The line as a program reads it: as it was written, or an object made of it."""
        found = self.raw or {
            "timestamp": self.at.isoformat(),
            "level": self.level,
            "event": self.event,
        }
        return json.dumps({"service": self.part, **found}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class LogChoice:
    """Which lines are wanted."""

    level: str | None = None
    """At least this one."""
    since: datetime | None = None
    workload: str | None = None
    trace: str | None = None
    """A trace id, or the beginning of one."""

    @property
    def whole(self) -> bool:
        """Whether the whole log has to be looked through."""
        return self != LogChoice()

    def takes(self, line: LogLine) -> bool:
        """Whether the line is wanted."""
        if self.level and LEVELS.index(line.level) < LEVELS.index(self.level):
            return False
        if self.since and line.at < self.since:
            return False
        if self.workload and line.fields.get("workload") != self.workload:
            return False
        return not self.trace or _trace_of(line).startswith(self.trace.lower())


def _trace_of(line: LogLine) -> str:
    return str(line.fields.get("trace_id") or line.fields.get("trace") or "")


def read(part: str, lines: Iterable[str], *, begin: datetime | None = None) -> Iterator[LogLine]:
    """Read the lines of one part, in order."""
    at, level = begin or datetime.fromtimestamp(0, UTC), "info"
    for text in lines:
        if not text.strip():
            continue
        line = _read(part, text, at, level)
        at, level = line.at, line.level
        yield line


def _read(part: str, text: str, at: datetime, level: str) -> LogLine:
    if text.startswith("{") and (found := _object(text)) is not None:
        moment = _moment(found.get("timestamp") or found.get("time")) or at
        own = str(found.get("level", "info")).lower()
        told = found.get("event") or found.get("message")
        fields = {k: v for k, v in found.items() if k not in _SHOWN_ELSEWHERE and v not in ("", [])}
        if told is None:  # the gateway's: it names the service that it asked
            told = "request"
            own = own if int(found.get("status") or 0) < FAILED else "warning"
            fields = {"to": found.get("service"), **fields}
        return LogLine(part, moment, _level(own), str(told), fields, found)
    if found_plain := _PLAIN.match(text):
        moment = _moment(found_plain[1].replace("/", "-").replace(",", ".")) or at
        return LogLine(part, moment, _level((found_plain[2] or "info").lower()), found_plain[3])
    return LogLine(part, at, level, text.rstrip())


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _moment(text: object) -> datetime | None:
    """A time with its zone; those without one are local, as Kafka, Ray and MLflow write them."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        return None


def _level(name: str) -> str:
    name = _NAMES.get(name, name)
    return name if name in LEVELS else "info"


def merged(logs: Iterable[Iterable[LogLine]]) -> list[LogLine]:
    """All lines in the order of their times; lines of one part never change places."""
    return sorted((line for log in logs for line in log), key=lambda line: line.at)


def details(line: LogLine) -> str:
    """The line's fields as `k=v`, the longest known ones shortened."""
    told = []
    for name, value in line.fields.items():
        if name == "trace_id":
            told.append(f"trace={str(value)[:_TRACE]}")
        elif name == "frames" and isinstance(value, list):
            told.append(f"at={_word(value[-1])}")
        else:
            told.append(f"{name}={_word(value)}")
    return " ".join(told)


def _word(value: object) -> str:
    if isinstance(value, str) and value and not re.search(r"[\s\"=]", value):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
