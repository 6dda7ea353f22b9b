"""A packed file takes no more memory than what may be unpacked of it."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from headrace_ingest.adapters.files import Columns, read_rows

# In a process of its own: how much memory one has had at most is never reset.
READ = """
import sys
from headrace_ingest.adapters import bounds
from headrace_ingest.adapters.files import Columns, read_rows
from headrace_ingest.core.errors import UnreadableSource

def most():
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024

bounds.MOST_BYTES = 64 * 1024 * 1024
content = open(sys.argv[1], "rb").read()
read_rows("a.parquet", open(sys.argv[2], "rb").read(), Columns())  # what is loaded for any file
before = most()
try:
    read_rows("a.parquet", content, Columns())
except UnreadableSource as error:
    print(most() - before, error.reason)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_parquet_file_that_unpacks_to_far_more_is_refused_on_the_way(tmp_path: Path) -> None:
    """Half a megabyte of zstd took a gigabyte and a half before it was refused."""
    packed, small = tmp_path / "packed.parquet", tmp_path / "small.parquet"
    many = 500
    frame = pl.DataFrame({"prompt": ["x" * 1_000_000 + str(i) for i in range(many)]})
    frame.with_columns(completion=pl.lit("a")).write_parquet(packed, compression="zstd")
    pl.DataFrame({"prompt": ["q"], "completion": ["a"]}).write_parquet(small)
    assert packed.stat().st_size < 1_000_000
    done = subprocess.run(
        [sys.executable, "-c", READ, str(packed), str(small)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    mebibytes, reason = done.stdout.split(" ", 1)
    assert "unpacks to more than" in reason
    assert int(mebibytes) < 200


@pytest.mark.parametrize("rows", [0, 1, 2, 1023, 1024, 5000])
def test_pieces_are_put_together_in_their_order(rows: int, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"question {i} " + "x" * (i % 97) for i in range(rows)]
    pl.DataFrame(
        {"prompt": texts, "completion": [str(i) for i in range(rows)]},
        schema={"prompt": pl.String, "completion": pl.String},
    ).write_parquet(path, row_group_size=700)
    if not rows:
        from headrace_ingest.core.errors import UnreadableSource

        with pytest.raises(UnreadableSource, match="no rows"):
            read_rows("a.parquet", path.read_bytes(), Columns())
        return
    read = read_rows("a.parquet", path.read_bytes(), Columns())
    assert [row.prompt for row in read] == texts
    assert [row.completion for row in read] == [str(i) for i in range(rows)]
