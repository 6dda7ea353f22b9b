"""Reads Parquet files for another process: `python -m headrace_ingest.adapters.parquet_worker`.

It says when it is ready. A request is a line of JSON and the file's bytes, its answer lines of JSON
with rows and a last one with how it ended. The input's end ends the process.
"""

import contextlib
import json
import resource
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from headrace_ingest.adapters import bounds
from headrace_ingest.adapters.parquet import read_parquet
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

_MOST_CPU_SECONDS = 600
_ROWS_AT_ONCE = 4096
_CHARACTERS_AT_ONCE = 1 << 20


def main() -> None:
    """Answer requests until there are no more."""
    _set_apart()
    _answer({"ready": True})
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        content = sys.stdin.buffer.read(request["bytes"])
        bounds.MOST_ROWS, bounds.MOST_BYTES = request["most_rows"], request["most_bytes"]
        _limit_time()
        end: dict[str, Any] = {"reason": None}
        try:
            for rows in _portions(read_parquet(content, request["prompt"], request["completion"])):
                _answer({"rows": rows})
        except UnreadableSource as error:
            end = {"reason": error.reason, "param": error.param}
        _answer(end)


def _portions(rows: Iterable[Row]) -> Iterator[list[tuple[str, str]]]:
    portion: list[tuple[str, str]] = []
    characters = 0
    for row in rows:
        portion.append((row.prompt, row.completion))
        characters += len(row.prompt) + len(row.completion)
        if len(portion) >= _ROWS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            yield portion
            portion, characters = [], 0
    if portion:
        yield portion


def _answer(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def _set_apart() -> None:
    """See to it that this process is ended for what a file does, and nothing else."""
    # What is in memory is a user's text: no file may be made of it in the end.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # only Linux has it
        # Where memory runs out, the kernel ends this process and not the service.
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    most = int(used.ru_utime + used.ru_stime) + _MOST_CPU_SECONDS
    resource.setrlimit(
        resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )


if __name__ == "__main__":
    main()
