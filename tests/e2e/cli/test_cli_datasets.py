"""`headrace datasets` on the running stack; rows.csv has an empty answer and a row twice."""

from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

EMPTY, TWICE = 162, 163
"""Lines of rows.csv, as an editor counts: the header and 160 rows come before."""


def test_datasets_are_listed_and_shown(story: Any) -> None:
    listed = {one["workload"]: one for one in story.json("datasets", "list")}
    dataset = listed[story.workload]
    assert (dataset["version"], dataset["state"]) == (1, "curated")
    table = story.headrace("datasets", "list", story.workload)
    assert table.splitlines()[0].split()[:3] == ["NAME", "VERSION", "STATE"]
    assert story.workload in story.headrace("datasets", "list", "-o", "name").splitlines()
    page = story.headrace("datasets", "show", story.workload)
    assert "rows.csv: 162 rows landed" in page
    shown = story.json("datasets", "show", story.workload, "1")
    assert shown["rejects"]["empty_completion"] == 1


def test_rows_are_listed_without_their_text_unless_asked(story: Any) -> None:
    table = story.headrace("datasets", "rows", story.workload, "-n", "200")
    assert "parcel" not in table
    held_out = story.json("datasets", "rows", story.workload, "1", "--split", "holdout")
    assert held_out
    assert {row["split"] for row in held_out} == {"holdout"}
    assert {row["prompt"] for row in held_out} == {None}
    first = story.json("datasets", "rows", story.workload, "--show-text", "-n", "1")[0]
    assert (first["file_row"], first["prompt"]) == (2, "Where is parcel 0?")
    shown = story.headrace("datasets", "rows", story.workload, "--show-text", "-n", "1")
    assert "Where is parcel 0?" in shown


def test_rejects_are_listed_with_their_line_and_what_they_collide_with(story: Any) -> None:
    found = {row["file_row"]: row for row in story.json("datasets", "rejects", story.workload)}
    assert found[EMPTY]["reason"] == "empty_completion"
    assert found[TWICE]["reason"] == "exact_duplicate"
    assert found[TWICE]["kept"]["file_row"] == 2
    table = story.headrace("datasets", "rejects", story.workload, "--reason", "exact_duplicate")
    heading, line = table.splitlines()
    assert heading.startswith("SOURCE")
    assert "FILE ROW" in heading
    assert line.split()[:3] == ["rows.csv", str(TWICE), "exact_duplicate"]
    assert "rows.csv row 2" in line
    said = story.headrace("datasets", "rejects", story.workload, "--reason", "ugly", code=2)
    assert "reasons here: empty_completion" in said


def test_versions_are_compared(story: Any) -> None:
    found = story.json("datasets", "diff", story.workload, "1", "1")
    assert found["rows"]["added"] == 0
    table = story.headrace("datasets", "diff", story.workload, "1", "1")
    assert "new prompts" in table


def test_a_wrong_name_and_a_wrong_version_are_told(story: Any) -> None:
    said = story.headrace("datasets", "show", "cli-storry", code=2)
    assert "No dataset is called `cli-storry`. Nearest: `cli-story`" in said
    said = story.headrace("datasets", "rows", story.workload, "17", code=2)
    assert "no version 17" in said
