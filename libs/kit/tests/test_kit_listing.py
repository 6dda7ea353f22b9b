"""Cursors: what was given out comes back, everything else is refused."""

import base64
import json
from datetime import UTC, datetime

import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st

from headrace_kit.listing import cursor, read_cursor

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def forged(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_cursor_comes_back_as_it_was() -> None:
    assert read_cursor(cursor(NOW, "ő", 3), datetime, str, int) == (NOW, "ő", 3)
    assert read_cursor(None, str) is None


@pytest.mark.parametrize(
    "text",
    ["", "x", "%%%", "é", forged(1), forged([]), forged(["a", "b"]), forged([2**70]),
     forged([True]), forged([None]), forged({"a": 1}), forged([[1]]), "W" * 500],
)  # fmt: skip
def test_a_forged_cursor_is_the_callers_error(text: str) -> None:
    for kinds in ((int,), (datetime,)):
        with pytest.raises(HTTPException) as raised:
            read_cursor(text, *kinds)
        assert raised.value.status_code == 400
        assert "leave it out" in raised.value.detail


@pytest.mark.parametrize("text", ["a\x00", "\ud83d"])
def test_text_that_no_database_takes_is_refused(text: str) -> None:
    with pytest.raises(HTTPException):
        read_cursor(forged([text]), str)


@given(st.text(max_size=60))
def test_nothing_else_than_a_refusal_comes_of_any_text(text: str) -> None:
    try:
        read_cursor(text, str, int)
    except HTTPException as error:
        assert error.status_code == 400
