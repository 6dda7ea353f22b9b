"""The holdout is read from a folder of any name, or it is said which table cannot be read."""

from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from headrace_evaluator.scoring.holdout import HoldoutMissing, load
from headrace_events.references import TableRef


@pytest.mark.parametrize("name", ["űr tár %1 #2", "a?b=c"])
def test_the_holdout_is_read_in_any_folder(tmp_path: Path, name: str) -> None:
    uri = str(tmp_path / name / "datasets" / "docs")
    with pytest.raises(HoldoutMissing, match="check that it exists"):
        load(TableRef(uri=uri, version=0), 10)
    columns = {"record_id": ["a", "b"], "prompt": ["p", "q"], "completion": ["c", "d"]}
    write_deltalake(uri, pl.DataFrame({**columns, "split": ["holdout", "train"]}))
    assert [row.prompt for row in load(TableRef(uri=uri, version=0), 10)] == ["p"]
