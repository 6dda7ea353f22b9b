"""Tables and databases lie in folders of any name, or the folder is refused in clear words."""

from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake
from sqlalchemy import text

from headrace_events.workload import Manifest
from headrace_kit.database import Database, sqlite_url
from headrace_kit.delta import (
    TableUnreadable,
    commits,
    literal,
    one_of,
    open_table,
    read_table,
    read_version,
    refuse_root,
    table_uri,
)
from headrace_kit.metrics import BACKGROUND_FAILURES
from headrace_kit.settings import Storage, Upkeep
from headrace_kit.table_upkeep import TableUpkeep

ODD = ["űr tár %1 #2", "a?b=c", "k1=v1", 'it\'s {a}, "b"; ~*&+', "😀\u00a0e\u0301", "100%", "a:b@c"]
REFUSED = ["my%20files", "%41", "[1]", "a|b", "a^b", "a\\b", "a\nb", "a\x7fb"]


@pytest.mark.parametrize("name", ODD)
def test_a_partitioned_table_is_written_and_read_in_any_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    assert Storage(root=str(root)).root == str(root)
    uri = table_uri(str(root), "raw", "docs")
    for number, part in enumerate(("one", "two")):
        frame = pl.DataFrame({"n": [number], "part": [part], "text": ["ű'\"\\"]})
        write_deltalake(uri, frame, mode="append", partition_by="part")
    table = open_table(uri)
    assert table is not None
    assert read_table(table, ["n", "text"], one_of("part", ["two", "three"])).to_dicts() == [
        {"n": 1, "text": "ű'\"\\"}
    ]
    assert [commit["version"] for commit in commits(table)] == [1, 0]
    assert next(commits(table, 1))["operation"] == "WRITE"
    assert read_version(uri, 0, ["n"]).to_dicts() == [{"n": 0}]
    assert read_version(root.joinpath("raw", "docs").as_uri(), 1, ["n"]).height == 2


@pytest.mark.parametrize("value", ["it's", "'; DROP TABLE t; --", 'a"b', "a\\", "\n", "ű😀", ""])
def test_a_value_is_never_taken_for_sql(tmp_path: Path, value: str) -> None:
    write_deltalake(str(tmp_path), pl.DataFrame({"id": [value, "other"]}))
    table = open_table(str(tmp_path))
    assert table is not None
    assert read_table(table, ["id"], f"id = {literal(value)}")["id"].to_list() == [value]
    assert read_table(table, ["id"], one_of("id", [value, "none"]))["id"].to_list() == [value]
    assert read_table(table, ["id"], one_of("id", [])).height == 0


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_deltalake_cannot_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="Delta tables cannot lie in"):
        Storage(root=str(tmp_path / name))
    assert refuse_root("s3://bucket/my%20files") is None


def test_what_cannot_be_read_says_which_version_of_which_table(tmp_path: Path) -> None:
    uri = str(tmp_path / "űr tár")
    with pytest.raises(TableUnreadable, match=r"version 0 of the Delta table .*űr tár"):
        read_version(uri, 0, ["n"])
    write_deltalake(uri, pl.DataFrame({"n": [1]}))
    with pytest.raises(TableUnreadable, match="version 7"):
        read_version(uri, 7, ["n"])
    next(Path(uri).glob("*.parquet")).unlink()
    with pytest.raises(TableUnreadable, match="check that it exists"):
        read_version(uri, 0, ["n"])


@pytest.mark.parametrize("name", [*ODD, *(name for name in REFUSED if "\n" not in name)])
async def test_a_database_lies_in_any_folder(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "service.db"
    database = Database(sqlite_url(file))
    await database.create()
    async with database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM kit_outbox"))).scalar() == 0
    await database.close()
    assert file.is_file()


async def test_a_table_that_cannot_be_tidied_is_counted_and_holds_up_no_other(
    tmp_path: Path,
) -> None:
    root = str(tmp_path)
    broken, whole = (table_uri(root, "raw", name) for name in ("broken", "whole"))
    for _ in range(3):
        write_deltalake(whole, pl.DataFrame({"n": [1]}), mode="append")
    log = Path(broken) / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("{")
    manifests = [
        Manifest.model_validate(
            {
                "apiVersion": "headrace/v1",
                "kind": "Workload",
                "metadata": {"name": name, "owner": "test"},
            }
        )
        for name in ("broken", "whole")
    ]
    upkeep = TableUpkeep(
        root, Upkeep(small_files=2), lambda: manifests, compacted=["raw"], vacuumed=[]
    )
    failures = BACKGROUND_FAILURES.labels("table upkeep")._value
    before = failures.get()
    await upkeep.tick()
    assert failures.get() == before + 1
    table = open_table(whole)
    assert table is not None and len(table.file_uris()) == 1
