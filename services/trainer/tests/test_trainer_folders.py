"""Training rows are read from a folder of any name, or it is said which table cannot be read."""

from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from headrace_events.references import DatasetRef, TableRef
from headrace_trainer.adapters.rows import DatasetUnreadable, train_rows


@pytest.mark.parametrize("name", ["űr tár %1 #2", "a?b=c"])
def test_training_rows_are_read_in_any_folder(tmp_path: Path, name: str) -> None:
    uri = str(tmp_path / name / "datasets" / "docs")
    table = TableRef(uri=uri, version=0)
    dataset = DatasetRef(version=3, table=table, digest="d", train_rows=1, holdout_rows=1)
    with pytest.raises(DatasetUnreadable, match="dataset version 3: version 0 of the Delta table"):
        train_rows(dataset)
    columns = {"record_id": ["a", "b"], "prompt": ["p", "q"], "completion": ["c", "d"]}
    write_deltalake(uri, pl.DataFrame({**columns, "split": ["holdout", "train"]}))
    assert train_rows(dataset) == [("q", "d")]
