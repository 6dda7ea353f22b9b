"""Times as people type and read them."""

import re
from datetime import UTC, datetime, timedelta

import typer

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_STEPS = ((86_400, "d"), (3600, "h"), (60, "m"))


def since(text: str) -> datetime:
    """`10m`, `2h`, `3d`, or a time as ISO 8601 has it, in local time where it names no zone."""
    if found := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            "give `10m`, `2h`, `3d`, or a time such as 2026-11-26T14:00"
        ) from None


def at(text: str | None) -> str:
    """A time of an answer, local, to the second; a dash where there is none."""
    if not text:
        return "-"
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"


def age(text: str | None, *, now: datetime | None = None) -> str:
    """How long ago, in its largest unit: `12s`, `5m`, `3h`, `2d`."""
    if not text:
        return "-"
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return length(((now or datetime.now(UTC)) - moment).total_seconds())


def length(seconds: float) -> str:
    """A time's length in its largest unit."""
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
