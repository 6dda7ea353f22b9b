"""Files as people's programs write them: each is read exactly, or refused with the place."""

import io
import json
import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_ingest.adapters import bounds
from headrace_ingest.adapters.files import Columns, fingerprint, read_content, read_rows
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row, select

SECRET = "titkos"
PAIR = [Row("a", "b"), Row("c", "d")]


def read(name: str, content: bytes | str, columns: Columns | None = None) -> list[Row]:
    raw = content.encode() if isinstance(content, str) else content
    return read_rows(name, raw, columns or Columns())


def problem(name: str, content: bytes | str, columns: Columns | None = None) -> str:
    with pytest.raises(UnreadableSource) as raised:
        read(name, content, columns)
    assert SECRET not in raised.value.reason
    assert len(raised.value.reason) < 700
    assert raised.value.__cause__ is None
    return raised.value.reason


def parquet(frame: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    frame.write_parquet(target)
    return target.getvalue()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.csv", ["prompt,completion", "a,b", "c,d", ""]),
        ("a.csv", ["", "prompt;completion", "a;b", "", "c;d"]),
        ("a.csv", ["sep=;", "prompt;completion", "a;b", "c;d"]),
        ("a.csv", ['"sep=|"', "prompt|completion", "a|b", "c|d"]),
        ("a.tsv", ["SEP=\t", "prompt\tcompletion", "a\tb", "c\td", ""]),
        ("a.jsonl", [json.dumps({"prompt": r.prompt, "completion": r.completion}) for r in PAIR]),
        ("a.txt", ["a\tb", "", "c\td"]),
        ("a.txt", ["a", "b", "", " ", "c", "d"]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_marks_of_every_system(
    name: str, lines: list[str], end: str, encoding: str
) -> None:
    assert read(name, end.join(lines).encode(encoding)) == PAIR


def test_a_line_break_in_a_quoted_header_and_in_a_field() -> None:
    content = '"pro\nmpt","comple\r\ntion",n\n"x\ny",b,1\n'
    assert read("a.csv", content, Columns("pro\nmpt", "comple\r\ntion")) == [Row("x\ny", "b")]
    other = '"some\nnote",prompt,completion\n1,a,b\n2,c,d\n'
    assert read("a.csv", other) == PAIR


def test_a_quoted_header_that_holds_the_other_delimiters() -> None:
    content = '"a;b,c\td";prompt;completion\n1;a;b\n2;c;d\n'
    assert read("a.csv", content) == PAIR


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "prompt,completion,prompt\na,b,c\n"),
        ("a.jsonl", '{"prompt": "a", "completion": "b", "prompt": "c"}\n'),
    ],
)
def test_a_column_that_stands_twice_is_refused(name: str, content: str) -> None:
    reason = problem(name, content)
    assert "`prompt`" in reason
    assert "twice" in reason


def test_a_column_that_nobody_asked_for_may_stand_twice() -> None:
    assert read("a.csv", "prompt,,completion,,\na,1,b,2,\nc,,d,,\n") == PAIR


def test_values_are_what_the_file_says() -> None:
    values = ["1.10", "007", "NaN", "NA", "null", "1e3", "true", " x ", "12345678901234567890123"]
    rows = read("a.csv", "prompt,completion\n" + "".join(f"p,{v}\n" for v in values))
    assert [row.completion for row in rows] == values


@pytest.mark.parametrize(
    "number",
    ["1.10", "12345678901234567890123", "9" * 5000, "1e400", "-0", "0.30000000000000000001"],
)
def test_json_numbers_are_exact(number: str) -> None:
    assert read("a.jsonl", f'{{"prompt": {number}, "completion": true}}') == [Row(number, "true")]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_json_does_not_know_is_no_label(constant: str) -> None:
    content = f'{{"prompt": "a", "completion": "b"}}\n{{"prompt": "a", "completion": {constant}}}\n'
    assert problem("a.jsonl", content).startswith("line 2 is not JSON")


def chat(*turns: tuple[str, object], **more: object) -> str:
    return json.dumps({"messages": [{"role": r, "content": c} | more for r, c in turns]})


TEXT = [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}]


def test_messages_with_parts_of_text() -> None:
    content = chat(("user", "old"), ("assistant", "old"), ("user", TEXT),
                   ("assistant", [{"type": "text", "text": "That."}]))  # fmt: skip
    assert read("a.jsonl", content) == [Row("What is this?", "That.")]


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([("user", "q"), ("assistant", "a"), ("user", SECRET), ("assistant", None)], "no text"),
        ([("user", "q"), ("assistant", "a"), ("user", None), ("assistant", SECRET)], "no text"),
        ([("user", "q"), ("assistant", "a"), ("user", SECRET), ("assistant", [])], "no text"),
        ([("user", "q"), ("assistant", SECRET), ("assistant", "more")], "user"),
        ([("user", "q"), ("assistant", "a"), ("tool", SECRET), ("assistant", "b")], "user"),
        ([("assistant", SECRET)], "user"),
        ([("user", SECRET)], "assistant"),
        ([], "assistant"),
        (
            [("user", "q"), ("assistant", "a"),
             ("user", [*TEXT, {"type": "image_url", "image_url": {"url": SECRET}}]),
             ("assistant", "b")],
            "part",
        ),
        ([("user", "q"), ("assistant", {"text": SECRET})], "text"),
    ],
)  # fmt: skip
def test_a_conversation_without_a_last_pair_is_refused(
    turns: list[tuple[str, object]], expected: str
) -> None:
    reason = problem("a.jsonl", chat(("user", "q"), ("assistant", "a")) + "\n" + chat(*turns))
    assert reason.startswith("line 2")
    assert expected in reason


@pytest.mark.parametrize("messages", [[None], ["a"], [["user", "a"]], [{"content": "a"}], {}, "a"])
def test_messages_that_are_none(messages: object) -> None:
    assert problem("a.jsonl", json.dumps({"messages": messages})).startswith("line 1")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"prompt": "a", "completion": "\\ud83d"}', "line 1"),
        ('{"prompt": "a\\u0000", "completion": "b"}', "line 1"),
        ('\n{"messages": [{"role": "user", "content": "\\uDE00"},'
         '{"role": "assistant", "content": "b"}]}', "line 2"),
        ('[{"prompt": "a", "completion": "b"}]', "JSON array"),
        ('[\n{"prompt": "a", "completion": "b"}\n]', "JSON array"),
        ("[" * 100_000, "JSON array"),
        ('{"a":' * 100_000, "line 1 is not JSON"),
        ('{"prompt": "a"} {"completion": "b"}', "line 1 is not JSON"),
        ('{"prompt": {"text": "titkos"}, "completion": "b"}', "column `prompt`"),
        ('{"titkos neve": 1, "titkos@example.com": 2}', "missing columns"),
        ("7", "line 1 is not a JSON object"),
    ],
)  # fmt: skip
def test_json_that_is_refused(content: str, expected: str) -> None:
    assert expected in problem("a.jsonl", content)


def test_half_an_emoji_is_only_refused_where_it_is_half() -> None:
    whole = '{"prompt": "\\ud83d\\ude00", "completion": "\\\\ud83d"}'
    assert read("a.jsonl", whole) == [Row("\U0001f600", "\\ud83d")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x1f\x8b\x08\x00\x00", "gzip"),
        (b"PK\x03\x04\x14\x00\x06\x00", "Excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "Excel"),
        (b"PAR1" + bytes(100) + b"PAR1", "Parquet"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "compressed"),
        ("prompt,completion\na,b\n".encode("utf-16-le"), "binary zeros"),
        ("prompt,completion\na,b\n".encode("utf-32"), "binary zeros"),
        (b"prompt,completion\na,\x00\n", "binary zeros"),
        (b"\xff\xfea\x00b", "UTF-16"),
        (b"prompt,completion\ra,b\rc,\xe9\r", "line 3"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\xef\xbb\xbf \r\n", "empty"),
        (b"\xff\xfe", "empty"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_what_is_not_text_is_named(name: str, content: bytes, expected: str) -> None:
    assert expected in problem(name, content)


@pytest.mark.parametrize(
    "name", ["a.csv.gz", "a.jsonl.zst", "a.xlsx", "a.json", "noname", "a.\n" * 99]
)
def test_other_types_are_refused_by_name(name: str) -> None:
    assert "not read" in problem(name, '{"prompt": "a", "completion": "b"}')


def test_a_field_may_be_large_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    large = "x" * 1_000_000
    assert read("a.csv", f"prompt,completion\na,{large}\n") == [Row("a", large)]
    monkeypatch.setattr(bounds, "MOST_ROWS", 3)
    for name, content in (
        ("a.csv", "prompt,completion\n" + "a,b\n" * 4),
        ("a.jsonl", '{"prompt": "a", "completion": "b"}\n' * 4),
        ("a.txt", "a\tb\n" * 4),
        ("a.txt", "a\nb\n\n" * 4),
        ("a.parquet", parquet(pl.DataFrame({"prompt": ["a"] * 4, "completion": ["b"] * 4}))),
    ):
        assert "more than 3 rows" in problem(name, content)


def test_a_parquet_file_that_unpacks_to_far_more_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES", 1_000_000)
    bomb = parquet(pl.DataFrame({"prompt": ["x" * 10_000] * 1000, "completion": ["b"] * 1000}))
    assert len(bomb) < 20_000
    assert "unpacks to" in problem("a.parquet", bomb)


@pytest.mark.parametrize(
    "first_line",
    [
        f"{SECRET} neve Kiss Anna,1234567812345678",
        f"{SECRET},{SECRET}",
        f"My name is {SECRET} and I live there",
        "x" * 100_000,
        ",".join(f"{SECRET}{n}" for n in range(10_000)),
        f'"{SECRET}\n{SECRET}",b',
    ],
)
def test_a_file_without_a_header_is_not_quoted(first_line: str) -> None:
    for name in ("a.csv", "a.tsv"):
        reason = problem(name, f"{first_line}\n{first_line}\n", Columns("prompt", "label"))
        assert reason.startswith("missing columns `prompt`, `label`")


def test_columns_that_are_near_or_usual_are_named() -> None:
    reason = problem("a.csv", "id,promt,completions,x17\n1,a,b,c\n")
    assert "`promt`" in reason
    assert "`completions`" in reason
    assert "4" in reason
    named = problem("a.csv", "kérdés;válasz\na;b\n")
    assert "`kérdés`, `válasz`" in named
    other = problem("a.csv", "prompt,completion\na,b\n", Columns("x" * 100_000, "completion"))
    assert other.startswith("missing column `xxxx")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.5, float("nan"), None], ["1.5", "", ""]),
        ([Decimal("1.10"), Decimal("2.00"), None], ["1.10", "2.00", ""]),
        ([2**63, 2**64 - 1, None], ["9223372036854775808", "18446744073709551615", ""]),
        ([True, False, None], ["true", "false", ""]),
        ([date(2024, 2, 29), None, None], ["2024-02-29", "", ""]),
        ([None, None, None], ["", "", ""]),
    ],
)
def test_parquet_values(values: list[object], expected: list[str]) -> None:
    series = pl.Series("completion", values, dtype=pl.UInt64) if values[0] == 2**63 else (
        pl.Series("completion", values))  # fmt: skip
    content = parquet(pl.DataFrame([pl.Series("prompt", ["p"] * len(values)), series]))
    assert [row.completion for row in read("a.parquet", content)] == expected


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (timedelta(seconds=3), "duration"),
        ([SECRET], ""),
        ({"a": SECRET}, ""),
        (SECRET.encode(), "binary"),
    ],
)
def test_parquet_columns_that_are_no_text(value: object, kind: str) -> None:
    reason = problem("a.parquet", parquet(pl.DataFrame({"prompt": [value], "completion": ["b"]})))
    assert "column `prompt` is not text" in reason
    assert reason.endswith(kind)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (str(tmp_path / "pipe.csv"), "/dev/zero", "a\x00b", "x" * 10_000):
        with pytest.raises(UnreadableSource) as raised:
            read_content(path, 1000)
        assert len(raised.value.reason) < 400
    assert fingerprint("a\x00b") == "missing"


def test_parquet_times_and_categories() -> None:
    frame = pl.DataFrame(
        {
            "prompt": [datetime(2024, 2, 29, 12, tzinfo=UTC)],
            "completion": pl.Series(["x"], dtype=pl.Categorical),
        }
    )
    (row,) = read("a.parquet", parquet(frame))
    assert row.prompt.startswith("2024-02-29 12:00:00")
    assert row.completion == "x"


def test_a_zero_in_parquet_is_refused_with_its_row() -> None:
    content = parquet(pl.DataFrame({"prompt": ["a", "b\x00"], "completion": ["b", "b"]}))
    assert problem("a.parquet", content).startswith("row 2")


def _check(name: str, content: bytes) -> None:
    try:
        rows = read_rows(name, content, Columns())
    except UnreadableSource as error:
        assert error.reason
        return
    assert rows
    for row in select(rows, (0.0, 0.5)):
        assert "\x00" not in row.prompt + row.completion
        (row.prompt + row.completion).encode()


_PIECES = st.sampled_from(
    ["prompt", "completion", ",", ";", "\t", '"', "\r", "\n", "sep=", "{", "}", "[", ":", "\\ud83d",
     '"messages"', '"role"', '"user"', '"content"', "null", "1e999", "\x00", "\ufeff", "\u2028"]
)  # fmt: skip


@given(st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.txt"]), st.lists(_PIECES, max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_text_is_read_or_refused(name: str, pieces: list[str]) -> None:
    _check(name, "".join(pieces).encode())


_GOOD = parquet(
    pl.DataFrame({"prompt": ["a", "b"] * 50, "completion": [str(n) for n in range(100)]})
)


@given(st.lists(st.tuples(st.integers(0, len(_GOOD) - 1), st.integers(0, 255)), max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_damage_to_parquet_is_read_or_refused(flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(_GOOD)
    for place, value in flips:
        damaged[place] = value
    _check("a.parquet", bytes(damaged))
