"""The log files of the parts: kept small, and read for the user."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

MAX_BYTES = 20 * 1024 * 1024
TAIL_BYTES = 256 * 1024
ALL_LINES = sys.maxsize


def note(text: str) -> None:
    """Write to this process's own log, if it can be written.

    The supervisor's lies on the disk that may be full: a note must not end what it is about.
    """
    with contextlib.suppress(OSError):
        sys.stderr.write(text if text.endswith("\n") else f"{text}\n")
        sys.stderr.flush()


def tell(event: str, level: str = "info", **fields: object) -> None:
    """Write a line to this process's own log as the services write theirs."""
    note(json.dumps({
        **{name: value for name, value in fields.items() if value is not None},
        "event": event,
        "service": "supervisor",
        "level": level,
        "timestamp": datetime.now(UTC).isoformat(),
    }))  # fmt: skip


def log_file(home: Path, name: str) -> Path:
    """Where the part `name` logs."""
    return home / "logs" / f"{name}.log"


def bound(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Move the content of a log that grew too long to `<name>.log.1` and cut the log.

    The writer has it open in append mode, so it goes on at the new end.
    """
    try:
        if path.stat().st_size <= max_bytes:
            return
        with path.open("r+b") as file:
            file.seek(-max_bytes, 2)
            path.with_suffix(".log.1").write_bytes(file.read())
            file.truncate(0)
    except FileNotFoundError:
        return


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def whole(path: Path) -> Iterator[str]:
    """All lines of a log, what was cut off before included."""
    for one in (path.with_suffix(".log.1"), path):
        with (
            contextlib.suppress(FileNotFoundError),
            one.open(encoding="utf-8", errors="replace") as file,
        ):
            yield from (line.rstrip("\n") for line in file)


def last_line(path: Path) -> str:
    """The last line of a log that says something."""
    return next((line for line in reversed(tail(path, 20)) if line.strip()), "")


def follow(paths: dict[str, Path], pause: float = 0.3) -> Iterator[tuple[str, str]]:
    """New lines of several files for ever, each with the name of its file."""
    offsets = {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}
    while True:
        for name, path in paths.items():
            size = path.stat().st_size if path.exists() else 0
            if size < offsets[name]:
                offsets[name] = 0  # it was cut
            if size == offsets[name]:
                continue
            with path.open("rb") as file:
                file.seek(offsets[name])
                content = file.read()
            complete = content.rfind(b"\n") + 1
            offsets[name] += complete
            for line in content[:complete].decode(errors="replace").splitlines():
                yield name, line
        time.sleep(pause)
