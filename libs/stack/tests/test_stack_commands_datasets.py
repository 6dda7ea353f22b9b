"""`headrace datasets` against answers as data-quality gives them."""

import json
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from headrace_stack.cli import app
from headrace_stack.commands import texts
from headrace_stack.commands.api import Api
from headrace_stack.commands.datasets import diff, rejects, rows, show
from headrace_stack.commands.datasets import list as listing

REFUSED = {
    "workload": "tickets", "version": 2, "state": "refused", "train_rows": None,
    "holdout_rows": None, "rejects": {"exact_duplicate": 1}, "redactions": {}, "digest": None,
    "sources": ["file:a.csv"], "created_at": "2026-11-26T10:00:00+00:00",
    "reason": "nothing new since version 1", "inputs": [], "profile": {},
}  # fmt: skip
MADE = {
    **REFUSED, "version": 1, "state": "curated", "train_rows": 90, "holdout_rows": 10,
    "reason": None, "inputs": [{"source": "file:a.csv", "batches": 1, "rows": 101}],
    "profile": {"languages": {"en": 100}},
}  # fmt: skip
REJECT = {
    "id": "r3", "reason": "exact_duplicate", "detail": "the same as file row 2 of a.csv",
    "source": "file:a.csv", "file_row": 9, "similarity": None, "prompt": None, "completion": None,
    "kept": {"id": "r1", "source": "file:a.csv", "file_row": 2, "prompt": None},
}  # fmt: skip
ROW = {
    "id": "r1", "source": "file:a.csv", "file_row": 2, "split": "train", "language": "en",
    "prompt_chars": 8, "completion_chars": 3, "prompt": "one\ntwo", "completion": "yes",
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "/datasets": {"data": [MADE, REFUSED], "next": None},
    "/datasets/tickets": {"data": [REFUSED, MADE], "next": None},
    "/datasets/tickets/versions/1": MADE,
    "/datasets/tickets/versions/2": REFUSED,
    "/datasets/tickets/versions/1/rows": {"data": [ROW], "next": None},
    "/datasets/tickets/versions/2/rejects": {"data": [REJECT], "next": None},
    "/datasets/tickets/diff": {
        "workload": "tickets", "old": 1, "new": 2, "rows": {"added": 4}, "profiles": {},
    },
}  # fmt: skip


def _answer(request: httpx2.Request) -> httpx2.Response:
    found = ANSWERS.get(request.url.path)
    if found is None:
        error = {"error": {"message": "no such workload: GET /datasets lists them"}}
        return httpx2.Response(404, json=error)
    return httpx2.Response(200, json=found)


@pytest.fixture(autouse=True)
def _stack(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> Api:
        return Api("http://127.0.0.1:1", transport=httpx2.MockTransport(_answer))

    for command in (diff, listing, rejects, rows, show):
        monkeypatch.setattr(command, "connect", connect)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["datasets", *arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_lists_say_why_there_is_no_next_version() -> None:
    assert "nothing new since version 1" in run("list").splitlines()[2]
    assert run("list", "tickets", "-o", "name").split() == ["tickets", "tickets"]


def test_show_is_of_the_newest_unless_a_version_is_named() -> None:
    assert "nothing new since version 1" in run("show", "tickets")
    page = run("show", "tickets", "1")
    assert "90 to train on, 10 held out" in page
    assert "file:a.csv: 101 rows landed" in page
    assert "headrace datasets rejects tickets 1" in page


def test_rows_are_of_the_newest_that_was_made() -> None:
    table = run("rows", "tickets")
    assert table.splitlines()[1].split()[:2] == ["a.csv", "2"]
    assert "one" not in table
    assert "one⏎two" in run("rows", "tickets", "--show-text")
    assert json.loads(run("rows", "tickets", "-o", "json"))[0]["prompt"] == "one\ntwo"


def test_rejects_and_differences() -> None:
    assert "a.csv row 2" in run("rejects", "tickets").splitlines()[1]
    assert run("diff", "tickets", "1", "2").split() == ["ROWS", "CHANGE", "4", "new", "prompts"]


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    done = CliRunner().invoke(app, ["datasets", "list", "tickts"])
    assert done.exit_code != 0
    assert "Nearest: `tickets`" in str(done.exception) + done.output


def test_texts_are_cut_to_the_room_that_there_is() -> None:
    assert texts.on_one_line("one\r\ntwo", 6) == "one⏎t…"
    assert texts.on_one_line("one", 3) == "one"
    assert texts.on_one_line(None, 3) is None
