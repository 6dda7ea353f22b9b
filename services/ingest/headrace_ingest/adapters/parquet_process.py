"""Parquet, read in a process of its own.

A damaged file has polars ask for exabytes, which ends the process at once, and a forged one of 200
bytes has it take gigabytes, which ends it by and by. pyarrow takes them too (the lengths of
DELTA_LENGTH_BYTE_ARRAY), and aborts on some footers whose columns are looked at. So the service
does not read: it goes on, and the file is refused.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from headrace_ingest.adapters import bounds
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

_MODULE = "headrace_ingest.adapters.parquet_worker"
_LOOKED_AT_SECONDS = 0.05
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Categories and keys of 100 kB took five times the text that was read from them.
_MOST_TIMES = 6
_BESIDES_BYTES = 256 * 1024 * 1024
# What an allocator did not give back stays until the worker is ended.
_KEPT_BYTES = 256 * 1024 * 1024
_Worker = subprocess.Popen[bytes]


def read_parquet(content: bytes, prompt: str, completion: str) -> Iterator[Row]:
    """Read the two columns as text; NaN is no value, as null is."""
    worker = _idle_or_new()
    end: dict[str, Any] = {}
    most = _MOST_TIMES * bounds.MOST_BYTES + 2 * len(content) + _BESIDES_BYTES
    done = threading.Event()
    threading.Thread(target=_watch, args=(worker, most, done), daemon=True).start()
    try:
        for answer in _answers(worker, content, prompt, completion):
            if "rows" not in answer:
                end = answer
                break
            for row in answer["rows"]:
                yield Row(*row)
    finally:
        done.set()
        if end and _memory(worker) < _KEPT_BYTES:
            _idle().append(worker)
        else:
            _end(worker)
    if not end:
        raise UnreadableSource(
            "the Parquet file is damaged, or reading it takes more memory or time than files of "
            "this size do: write it again",
            param="file",
        )
    if end["reason"] is not None:
        raise UnreadableSource(end["reason"], param=end["param"])


def _watch(worker: _Worker, most: int, done: threading.Event) -> None:
    """End the worker if it has more bytes of memory than `most`.

    RLIMIT_AS is no bound: for a sound file of one large page polars reserves 20 times its size.
    """
    while not done.wait(_LOOKED_AT_SECONDS):
        if _memory(worker) > most:
            worker.kill()
            return


def _memory(worker: _Worker) -> int:
    """Return how many bytes the worker has in memory: none if it has ended or is not on Linux."""
    try:
        return int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _answers(
    worker: _Worker, content: bytes, prompt: str, completion: str
) -> Iterator[dict[str, Any]]:
    """Yield what the worker says, which is nothing more once it was ended."""
    assert worker.stdin and worker.stdout  # noqa: S101 - both are pipes
    request = {
        "prompt": prompt,
        "completion": completion,
        "bytes": len(content),
        "most_rows": bounds.MOST_ROWS,
        "most_bytes": bounds.MOST_BYTES,
    }
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write(json.dumps(request).encode() + b"\n")
        worker.stdin.write(content)
        worker.stdin.flush()
    for line in worker.stdout:
        if line.endswith(b"\n"):
            yield json.loads(line)


@cache
def _idle() -> list[_Worker]:
    """Return the workers that wait: to start one takes longer than to read most files."""
    workers: list[_Worker] = []

    def end_all() -> None:
        while workers:
            _end(workers.pop())

    atexit.register(end_all)
    return workers


def _idle_or_new() -> _Worker:
    with contextlib.suppress(IndexError):
        while True:
            worker = _idle().pop()
            if worker.poll() is None:
                return worker
            _end(worker)
    return _started()


def _started() -> _Worker:
    # -I: neither the environment nor the current folder decides what is imported. What the reader
    # writes of its panics can hold text of the file. In a session of its own the worker does not
    # take an interrupt that is meant for the service.
    worker = subprocess.Popen(
        [sys.executable, "-I", "-m", _MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"POLARS_MAX_THREADS": "1"},
        start_new_session=True,
    )
    assert worker.stdout  # noqa: S101 - it is a pipe
    if not worker.stdout.readline():
        _end(worker)
        raise RuntimeError(f"the reader of Parquet files ends with code {worker.returncode}")
    return worker


def _end(worker: _Worker) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        with contextlib.suppress(BrokenPipeError):  # of what it was still to be sent
            if pipe:
                pipe.close()
