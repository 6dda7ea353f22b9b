"""Files: every format, and every way in which one can be wrong."""

import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from headrace_ingest.adapters.files import Columns, fingerprint, read_content, read_rows
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row, make_records, select

SECRET = "titkos"


def problem(name: str, content: bytes, columns: Columns | None = None) -> str:
    with pytest.raises(UnreadableSource) as raised:
        read_rows(name, content, columns or Columns())
    assert SECRET not in raised.value.reason
    assert raised.value.__cause__ is None
    return raised.value.reason


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_any_usual_delimiter(delimiter: str) -> None:
    text = delimiter.join(("id", "kérdés", "válasz")) + "\n"
    text += delimiter.join(("1", '"Hol van a kártyám, kérem?"', "card_arrival")) + "\n\n"
    rows = read_rows("a.CSV", b"\xef\xbb\xbf" + text.encode(), Columns("kérdés", "válasz"))
    assert rows == [Row("Hol van a kártyám, kérem?", "card_arrival")]


def test_csv_fields_may_hold_line_breaks() -> None:
    assert read_rows("a.csv", b'prompt,completion\r\n"two\nlines",x\r\n', Columns()) == [
        Row("two\nlines", "x")
    ]


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    reason = problem("a.csv", f"text,label\n{SECRET},x\n".encode(), Columns("text", "category"))
    assert "missing column `category`" in reason
    assert "`text`, `label`" in reason


def test_a_row_of_another_length_is_refused_with_its_line() -> None:
    reason = problem("a.csv", f"prompt,completion\na,b\n{SECRET},b,c\n".encode())
    assert reason.startswith("line 3 has 3 fields, the header has 2")


def test_an_open_quote_is_refused() -> None:
    assert "is not CSV" in problem("a.csv", f'prompt,completion\n"{SECRET},b\n'.encode())


def test_another_encoding_is_refused_with_the_place() -> None:
    content = "prompt,completion\nHol a kártya?,ő\n".encode("iso-8859-2")
    assert "not UTF-8: byte 25 (line 2)" in problem("a.csv", content)


def test_utf16_with_its_mark_is_read() -> None:
    assert read_rows("a.csv", "prompt,completion\nő,ű\n".encode("utf-16"), Columns()) == [
        Row("ő", "ű")
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.txt"])
def test_an_empty_file_is_refused(name: str) -> None:
    assert problem(name, b" \n\n") == "the file is empty"


def test_a_header_alone_is_refused() -> None:
    assert problem("a.csv", b"prompt,completion\n") == "the file has no rows"


def test_an_unknown_type_is_refused() -> None:
    assert "files of type `.xlsx` are not read" in problem("a.xlsx", b"PK")


def test_json_lines_with_columns_and_with_messages() -> None:
    content = (
        '{"q": "Mi a jelszó?\u2028", "a": 7}\n'
        '{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "old"},'
        '{"role": "assistant", "content": "old"}, {"role": "user", "content": "new"},'
        '{"role": "assistant", "content": "answer"}]}\n'
    )
    rows = read_rows("a.jsonl", content.encode(), Columns("q", "a"))
    assert rows == [Row("Mi a jelszó?\u2028", "7"), Row("new", "answer")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f'{{"prompt": "{SECRET}", "completion": ', "line 2 is not JSON"),
        (f'["{SECRET}"]', "line 2 is not a JSON object"),
        (f'{{"prompt": "{SECRET}"}}', "line 2: missing column `completion`"),
        (f'{{"prompt": "{SECRET}", "completion": ["x"]}}', "column `completion` is not text"),
        (
            f'{{"messages": [{{"role": "user", "content": "{SECRET}"}}]}}',
            "no user message",
        ),
    ],
)
def test_a_wrong_json_line_is_refused_with_its_number(line: str, expected: str) -> None:
    content = f'{{"prompt": "a", "completion": "b"}}\n{line}\n'
    assert expected in problem("a.jsonl", content.encode())


def parquet(frame: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    frame.write_parquet(target)
    return target.getvalue()


def test_parquet() -> None:
    content = parquet(pl.DataFrame({"q": ["a", None], "n": [1, 2]}))
    assert read_rows("a.parquet", content, Columns("q", "n")) == [Row("a", "1"), Row("", "2")]
    assert "missing column `prompt`; the file has `q`, `n`" in problem(
        "a.parquet", content, Columns("prompt", "n")
    )


def test_broken_parquet_is_refused() -> None:
    content = parquet(pl.DataFrame({"prompt": [SECRET] * 500, "completion": list(range(500))}))
    assert "not Parquet, or it is cut short" in problem("a.parquet", content[:-40])
    assert "not Parquet" in problem("a.parquet", b"prompt,completion\n")
    damaged = content[:8] + b"\xff" * 400 + content[408:]
    assert "Parquet" in problem("a.parquet", damaged)


def test_nested_parquet_columns_are_refused() -> None:
    content = parquet(pl.DataFrame({"prompt": [["a"]], "completion": ["b"]}))
    assert problem("a.parquet", content) == "column `prompt` is not text"


def test_text_by_tabs_and_by_paragraphs() -> None:
    tabs = "Mi ez?\tEgy sor.\n\nÉs ez?\tMég egy.\n"
    assert read_rows("a.txt", tabs.encode(), Columns()) == [
        Row("Mi ez?", "Egy sor."),
        Row("És ez?", "Még egy."),
    ]
    blocks = "First?\nOne\ntwo\n\n \nSecond?\r\nThree\n"
    assert read_rows("a.txt", blocks.encode(), Columns()) == [
        Row("First?", "One\ntwo"),
        Row("Second?", "Three"),
    ]
    assert "paragraph 2 has one line" in problem("a.txt", f"a\nb\n\n{SECRET}\n".encode())


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    missing = tmp_path / "none.csv"
    assert fingerprint(str(missing)) == "missing"
    for path, limit, expected in (
        (missing, 10, "No such file"),
        (tmp_path, 10_000_000, "Is a directory"),
    ):
        with pytest.raises(UnreadableSource) as raised:
            read_content(str(path), limit)
        assert expected in raised.value.reason
    missing.write_bytes(b"x" * 11)
    assert fingerprint(str(missing)) != "missing"
    with pytest.raises(UnreadableSource, match="has 11 bytes, more than the 10"):
        read_content(str(missing), 10)


def test_a_limit_samples_a_sorted_file_instead_of_taking_its_head() -> None:
    rows = [
        Row(f"question {label} {n}", f"label {label}") for label in range(20) for n in range(50)
    ]
    chosen = select(rows, limit=200)
    assert len(chosen) == 200
    # 200 of 1,000 rows drawn evenly miss one of 20 labels with a chance of about 20 * 0.8 ** 50.
    assert {row.completion for row in chosen} == {row.completion for row in rows}
    assert chosen == select(rows, limit=200)
    assert [rows.index(row) for row in chosen] == sorted(rows.index(row) for row in chosen)


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.csv", b'prompt,completion\na,b\n\n"two\nlines",c\r\nd,e\n', [2, 4, 6]),
        ("a.csv", b"sep=;\nprompt;completion\na;b\n", [3]),
        ("a.csv", b"\nprompt,completion\na,b\n", [3]),
        ("a.jsonl", b'{"prompt": "a", "completion": "b"}\n\n' * 2, [1, 3]),
        ("a.jsonl", b'\n{"messages": [{"role": "user", "content": "a"}, '
         b'{"role": "assistant", "content": "b"}]}', [2]),
        ("a.txt", b"\na\tb\n\nc\td\n", [2, 4]),
        ("a.txt", b"\n\nFirst?\nOne\ntwo\n\n \nSecond?\nThree\n", [3, 8]),
    ],
)  # fmt: skip
def test_a_row_knows_its_line_as_an_editor_counts(
    name: str, content: bytes, lines: list[int]
) -> None:
    assert [row.file_row for row in read_rows(name, content, Columns())] == lines


def test_a_row_of_a_file_without_lines_has_its_number() -> None:
    buffer = io.BytesIO()
    pl.DataFrame({"prompt": ["a", "c"], "completion": ["b", "d"]}).write_parquet(buffer)
    rows = read_rows("a.parquet", buffer.getvalue(), Columns())
    assert [row.file_row for row in rows] == [1, 2]
    landed = make_records(rows[1:], batch_id="b", source="s", landed_at=datetime.now(UTC))
    assert landed[0].origin == {"row": 1, "file_row": 2}, "of the file, not of what was chosen"
