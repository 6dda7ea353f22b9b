"""Commits that happen once."""

from pathlib import Path

import polars as pl
import pytest

from headrace_ingest.adapters import delta
from headrace_kit.delta import table_uri


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return table_uri(str(tmp_path), "raw", "docs")


def frame(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame({"number": numbers})


def numbers(uri: str) -> list[int]:
    return sorted(pl.read_delta(uri)["number"])


def test_a_repeat_commits_nothing_and_finds_its_version_behind_later_ones(uri: str) -> None:
    versions = {}
    for number in range(5):
        table = delta.append_once(uri, frame(number), f"commit-{number}")
        versions[number] = delta.version_of(table, f"commit-{number}")
    assert versions == {number: number for number in range(5)}
    again = delta.append_once(uri, frame(1), "commit-1")
    assert (again.version(), delta.version_of(again, "commit-1")) == (4, 1)
    assert numbers(uri) == [0, 1, 2, 3, 4]


def test_the_table_that_comes_back_holds_what_was_appended(uri: str) -> None:
    for number in range(3):
        table = delta.append_once(uri, frame(number), f"commit-{number}")
        assert table.version() == number
        assert table.count() == number + 1


def test_a_commit_beyond_the_history_that_is_read_has_the_tables_version(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        delta.append_once(uri, frame(number), f"commit-{number}")
    monkeypatch.setattr(delta, "_HISTORY", 2)
    table = delta.append_once(uri, frame(0), "commit-0")
    assert delta.version_of(table, "commit-0") == 3
    assert numbers(uri) == [0, 1, 2, 3]
