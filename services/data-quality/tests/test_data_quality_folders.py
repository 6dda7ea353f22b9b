"""The tables of data-quality lie in a folder of any name."""

from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from headrace_data_quality.adapters.dataset_table import (
    find_version,
    read_version,
    write_version,
)
from headrace_data_quality.adapters.raw_reader import read_batches
from headrace_data_quality.adapters.reject_table import append, replace_refused
from headrace_data_quality.core.rows import DatasetRow, Reject
from headrace_events.references import TableRef

ROWS = [
    DatasetRow("r1", "Mi az?", "Egy szó.", "hu", "train"),
    DatasetRow("r2", "b", "c", "en", "holdout"),
]


@pytest.mark.parametrize("name", ["űr tár %1 #2", "a?b=c"])
def test_a_dataset_is_made_read_and_found_again(tmp_path: Path, name: str) -> None:
    root = str(tmp_path / name)
    raw = f"{root}/raw/docs"
    for number in range(2):
        frame = pl.DataFrame(
            {
                "record_id": [f"r{number}"],
                "batch_id": [f"b{number}"],
                "source": ["file:a.csv"],
                "prompt": ["p"],
                "completion": ["c"],
                "origin": ['{"row": 0}'],
            }
        )
        write_deltalake(raw, frame, mode="append", partition_by="batch_id")
    found = read_batches(TableRef(uri=raw, version=1), ["b1", "b0"])
    assert [row.record_id for row in found] == ["r1", "r0"]

    written = [
        write_version(root, "docs", f"plan-{n}", n + 1, ROWS, {}, {}, None) for n in range(2)
    ]
    assert append(root, "docs", "plan-1", 2, [Reject("r9", "b1", "empty")])
    assert replace_refused(root, "docs", "plan-1", [Reject("r9", "b1", "empty")])
    assert find_version(root, "docs", "plan-0") == written[0]
    assert [w.table.version for w in written] == [0, 1]
    assert read_version(written[0].table) == ROWS
