"""Whatever a Parquet file does to its reader, the service goes on with the memory it had.

The files are put together here byte by byte: what a library writes today it may write otherwise in
its next version, and then a stated damage is another one.
"""

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from headrace_ingest.adapters import bounds, parquet_process
from headrace_ingest.adapters.files import Columns, read_rows
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

Workers = list[subprocess.Popen[bytes]]
_PLAIN, _RLE, _DELTA_LENGTHS = 0, 3, 6
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
# In a process of its own: an abort would end this one, and its children's memory is never reset.
READ = """
import json, resource, sys
from headrace_ingest.adapters import bounds
from headrace_ingest.adapters.files import Columns, read_rows
from headrace_ingest.core.errors import UnreadableSource

bounds.MOST_BYTES = 16 * 1024 * 1024
try:
    rows = read_rows("a.parquet", open(sys.argv[1], "rb").read(), Columns())
    said = "read " + repr(rows)
except UnreadableSource as error:
    said = error.reason
from headrace_ingest.adapters import parquet_process
parquet_process._idle().clear()
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print(json.dumps([said, used]))
"""


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def record(*fields: tuple[int, int, object]) -> bytes:
    """Write a struct of Thrift's compact protocol: an id, a kind and a value for each field."""
    found, last = b"", 0
    for name, kind, value in fields:
        found += bytes([(name - last) << 4 | kind])
        last = name
        if isinstance(value, int):
            found += varint(value << 1 if value >= 0 else (-value << 1) - 1)
        elif kind == _BINARY and isinstance(value, bytes):
            found += varint(len(value)) + value
        elif isinstance(value, tuple):
            of, items = value
            found += bytes([len(items) << 4 | of]) + b"".join(items)
        elif isinstance(value, bytes):
            found += value
    return found + b"\0"


def page(data: bytes, values: int = 1, encoding: int = _PLAIN) -> bytes:
    """Write a page of values that may be missing and are not: so says its first part."""
    body = struct.pack("<I", 2) + b"\x02\x01" + data
    own = record((1, _I32, values), (2, _I32, encoding), (3, _I32, _RLE), (4, _I32, _RLE))
    head = record((1, _I32, 0), (2, _I32, len(body)), (3, _I32, len(body)), (5, _STRUCT, own))
    return head + body


TEXT = page(struct.pack("<I", 1) + b"a")


def file(prompt: bytes) -> bytes:
    """Write a file of one row whose page of prompts is this one."""
    names, content, chunks = (b"prompt", b"completion"), b"PAR1", []
    for name, column in zip(names, (prompt, TEXT), strict=True):
        about = record(
            (1, _I32, 6),
            (2, _LIST, (_I32, [varint(_PLAIN << 1)])),
            (3, _LIST, (_BINARY, [varint(len(name)) + name])),
            (4, _I32, 0),
            (5, _I64, 1),
            (6, _I64, len(column)),
            (7, _I64, len(column)),
            (9, _I64, len(content)),
        )
        chunks.append(record((2, _I64, 0), (3, _STRUCT, about)))
        content += column
    schema = [record((4, _BINARY, b"root"), (5, _I32, 2))] + [
        record((1, _I32, 6), (3, _I32, 1), (4, _BINARY, name), (6, _I32, 0)) for name in names
    ]
    group = record((1, _LIST, (_STRUCT, chunks)), (2, _I64, len(content)), (3, _I64, 1))
    footer = record(
        (1, _I32, 1),
        (2, _LIST, (_STRUCT, schema)),
        (3, _I64, 1),
        (4, _LIST, (_STRUCT, [group])),
    )
    return content + footer + struct.pack("<I", len(footer)) + b"PAR1"


def read_in_process(content: bytes, folder: Path) -> tuple[str, int]:
    """Return what was said of the file, and how many MiB were had for it at most."""
    (folder / "a.parquet").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder / "a.parquet")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.returncode
    said, mebibytes = json.loads(done.stdout)
    return said, mebibytes


def small(text: str = "a") -> bytes:
    target = io.BytesIO()
    pl.DataFrame({"prompt": [text], "completion": ["b"]}).write_parquet(target)
    return target.getvalue()


def test_a_file_that_is_put_together_here_is_read() -> None:
    assert read_rows("a.parquet", file(TEXT), Columns()) == [Row("a", "a")]


def test_a_file_that_makes_its_reader_abort_is_refused(tmp_path: Path) -> None:
    """A page of less than no values: for its bitmap polars asks for two exabytes."""
    said, _ = read_in_process(file(page(struct.pack("<I", 1) + b"a", values=-1)), tmp_path)
    assert said.startswith("the Parquet file is damaged")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is only watched there")
def test_a_file_of_200_bytes_that_states_much_takes_little(tmp_path: Path) -> None:
    """Lengths that are all the same take no bytes: of these there are 300 million."""
    count = 300_000_000
    block = count // 128 * 128 + 128
    lengths = varint(block) + varint(1) + varint(count) + b"\0\0\0"
    content = file(page(lengths, encoding=_DELTA_LENGTHS))
    assert len(content) < 300
    said, mebibytes = read_in_process(content, tmp_path)
    assert said.startswith("the Parquet file is damaged, or reading it takes more memory")
    assert mebibytes < 1500  # it was 4400


@pytest.mark.skipif(sys.platform != "linux", reason="memory is only watched there")
@pytest.mark.parametrize("kind", ["a page", "a key", "categories"])
def test_little_that_unpacks_to_much_takes_little(kind: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"prompt": ["x" * 8_000_000] * 128, "completion": ["b"] * 128})
    if kind == "a page":
        frame = pl.DataFrame({"prompt": ["x" * 256_000_000], "completion": ["b"]})
    elif kind == "categories":
        frame = frame.with_columns(pl.col("prompt").cast(pl.Categorical))
    target = io.BytesIO()
    frame.write_parquet(target, compression="zstd", statistics=False)
    assert len(target.getvalue()) < 1_000_000
    said, mebibytes = read_in_process(target.getvalue(), tmp_path)
    assert "unpacks to more than" in said or "takes more memory" in said
    assert mebibytes < 1500


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Workers of this test alone."""
    workers: Workers = []
    monkeypatch.setattr(parquet_process, "_idle", lambda: workers)
    yield workers
    for worker in workers:
        parquet_process._end(worker)


def test_one_worker_reads_many_files(idle: Workers) -> None:
    kept = b"x" * 400_000_000  # a worker's memory is not the service's, which starts it
    for text in ("a", "b\n{}", "é\u2028"):
        assert read_rows("a.parquet", small(text), Columns()) == [Row(text, "b")]
    (worker,) = idle
    for _ in range(3):
        with pytest.raises(UnreadableSource, match="not Parquet"):
            read_rows("a.parquet", b"PAR1", Columns())
        read_rows("a.parquet", small(), Columns())
    assert idle == [worker]
    del kept


@pytest.mark.skipif(sys.platform != "linux", reason="memory is only watched there")
def test_a_worker_that_keeps_much_memory_is_ended(
    idle: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_process, "_KEPT_BYTES", 1)
    assert read_rows("a.parquet", small(), Columns()) == [Row("a", "b")]
    assert idle == []


def test_a_name_that_is_no_text_is_only_missing() -> None:
    with pytest.raises(UnreadableSource, match="missing column"):
        read_rows("a.parquet", small(), Columns("\ud800"))


def test_a_worker_that_was_ended_while_it_waited_is_not_asked(idle: Workers) -> None:
    read_rows("a.parquet", small(), Columns())
    (worker,) = idle
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert read_rows("a.parquet", small(), Columns()) == [Row("a", "b")]
    assert worker not in idle


def test_a_worker_whose_rows_nobody_wants_is_ended(idle: Workers) -> None:
    target = io.BytesIO()
    pl.DataFrame({"prompt": ["a"] * 10_000, "completion": ["b"] * 10_000}).write_parquet(target)
    rows = parquet_process.read_parquet(target.getvalue(), "prompt", "completion")
    assert next(rows) == Row("a", "b")
    rows.close()  # type: ignore[attr-defined]  # it is a generator
    assert idle == []


def test_a_worker_that_does_not_start_is_not_the_files_fault(
    idle: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_process, "_MODULE", "headrace_ingest.none")
    with pytest.raises(RuntimeError, match="ends with code 1"):
        read_rows("a.parquet", small(), Columns())


def test_a_worker_ends_with_the_service() -> None:
    code = (
        "from headrace_ingest.adapters import parquet_process as p\n"
        "import os, sys, time\n"
        f"list(p.read_parquet({small()!r}, 'prompt', 'completion'))\n"
        "pid = p._idle()[0].pid\n"
        "print(pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while _runs(int(done.stdout)):
        assert time.monotonic() < deadline, "the worker goes on without the service"
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return bool(found.stdout.strip()) and not found.stdout.strip().startswith(b"Z")


def test_limits_of_this_process_are_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES", 10)
    with pytest.raises(UnreadableSource, match="more than 10 bytes"):
        read_rows("a.parquet", small("x" * 20), Columns())
    monkeypatch.undo()
    assert read_rows("a.parquet", small("x" * 20), Columns()) == [Row("x" * 20, "b")]
