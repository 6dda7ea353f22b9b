"""The tables of ingest lie in a folder of any name."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace_ingest.adapters import file_store, raw_table, traffic_table
from headrace_ingest.core.records import RawRecord
from headrace_ingest.core.traffic import Interaction

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.fixture(params=["űr tár %1 #2", "a?b=c"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / request.param)


def test_each_batch_knows_its_commit(root: str) -> None:
    batches = [[RawRecord(f"r{n}", f"b{n}", "s", "p", "c", NOW, {"row": 0})] for n in range(3)]
    versions = [raw_table.land(root, "docs", batch).version for batch in batches]
    assert versions == [0, 1, 2]
    assert raw_table.land(root, "docs", batches[1]).version == 1
    assert raw_table.count_rows(root, "docs") == 3


def test_traffic_is_kept_judged_and_read(root: str) -> None:
    def asked(request_id: str) -> Interaction:
        return Interaction(request_id, None, "p", "c", "m", "1", "base", 1.0, NOW, "completed")

    traffic_table.append(root, "docs", "f1", [asked("it's one"), asked("two")])
    judgement = traffic_table.Judgement("it's one", 1, "better", NOW)
    traffic_table.judge(root, "docs", [judgement])
    (read,) = traffic_table.read_judged(root, "docs", {"it's one": NOW, "'; --": NOW})
    assert (read.request_id, read.rating, read.correction) == ("it's one", 1, "better")


def test_a_file_is_kept_and_deleted(root: str) -> None:
    file_store.store(root, "file-1", b"\x00\xffhello")
    assert file_store.load(root, "file-1") == b"\x00\xffhello"
    file_store.delete(root, "file-1")
    assert file_store.load(root, "file-1") is None
