"""Forms of an answer, names, times, and the page of all commands."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
import yaml

from headrace_stack.commands import reference
from headrace_stack.commands.names import unknown
from headrace_stack.commands.output import Column, Format, Lines, Rows, figure, plain, show
from headrace_stack.commands.times import age, length, since

THINGS = [{"name": "a", "n": 1}, {"name": "long\x1b[31m", "n": 22}]
PAGE = Rows(
    (Column("name", lambda one: one["name"]), Column("n", lambda one: one["n"], right=True)),
    THINGS,
    "Nothing.",
)


def test_columns_are_aligned_and_nothing_moves_the_cursor() -> None:
    lines = plain(PAGE).splitlines()
    assert lines[0].split() == ["NAME", "N"]
    assert len({len(line) for line in lines}) == 1
    assert "\x1b" not in plain(PAGE)
    assert plain(Rows(PAGE.columns, [], "Nothing.")) == "Nothing."
    assert plain(Lines(("a", "b"))) == "a\nb"


def test_each_form(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(form: Format) -> str:
        show(lambda: (THINGS, PAGE), form)
        return capsys.readouterr().out

    assert json.loads(shown(Format.JSON)) == THINGS
    assert yaml.safe_load(shown(Format.YAML)) == THINGS
    assert shown(Format.NAME).splitlines()[0] == "a"
    assert "\x1b" not in shown(Format.NAME)


def test_figures_are_never_powers_of_ten() -> None:
    assert figure(13090, 0) == "13,090"
    assert figure(1e-7) == "0.000"
    assert figure(None) == "-"


def test_times() -> None:
    assert abs(since("2h") - (datetime.now(UTC) - timedelta(hours=2))) < timedelta(seconds=5)
    assert since("2026-11-26T14:00:00+00:00") == datetime(2026, 11, 26, 14, tzinfo=UTC)
    for wrong in ("yesterday", "5", "9999999999d", ""):
        with pytest.raises(typer.BadParameter):
            since(wrong)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert age("2025-12-31T23:55:00+00:00", now=now) == "5m"
    assert age(None) == "-"
    assert [length(s) for s in (-1, 3, 60, 7200, 200_000)] == ["0s", "3s", "1m", "2h", "2d"]


def test_a_wrong_name_is_told_with_the_nearest_ones() -> None:
    said = str(unknown("model", "suport", ["support", "docs"], where="headrace models list"))
    assert "Nearest: `support`" in said
    assert "`headrace models list`" in said
    assert "secret" not in str(unknown("model", "x\nsecret", [], where="x"))


def test_the_page_of_all_commands_is_up_to_date() -> None:
    written = Path(__file__).parents[3] / "docs" / "cli.md"
    assert written.read_text() == reference.page(), "write it anew: make docs"
    assert "headrace models show" in reference.page()
