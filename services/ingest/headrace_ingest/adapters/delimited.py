"""CSV and TSV with a header line."""

import csv
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headrace_ingest.adapters.columns import missing_columns, repeated_column
from headrace_ingest.adapters.decoding import decode
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

if TYPE_CHECKING:
    import _csv

_DELIMITERS = (",", ";", "\t", "|")
# The default of 128 KiB is shorter than a long document in one field.
_LONGEST_FIELD = 16 * 1024 * 1024
# How much is looked at for the header: it may have line breaks of its own.
_LONGEST_HEADER = 64 * 1024
# Excel's own way to say what the delimiter is, in a line before the header.
_DECLARED = re.compile(r'[\r\n]*"?sep=([^\r\n])"?[,;\t| ]*(?:\r\n|\r|\n)', re.IGNORECASE)


def read_delimited(content: bytes, prompt: str, completion: str) -> Iterator[Row]:
    """Read rows; the delimiter is the one under which the header has both columns."""
    csv.field_size_limit(_LONGEST_FIELD)
    text = decode(content)
    declared = _DECLARED.match(text)
    start = declared.end() if declared else 0
    marks = (declared[1],) if declared else _DELIMITERS
    head = text[start : start + _LONGEST_HEADER]
    headers = {mark: names for mark in marks if (names := _header(head, mark))}
    if not headers:
        raise UnreadableSource("the first line is not CSV: check its quotes", param="file")
    wanted = (prompt, completion)
    fitting, names = max(headers.items(), key=lambda h: (len(set(wanted) & set(h[1])), len(h[1])))
    if not set(wanted) <= set(names):
        raise missing_columns(wanted, names, named=False)
    for name in wanted:
        if names.count(name) > 1:
            raise repeated_column(name)
    return _rows(text, fitting, names, wanted, declared=bool(declared))


def _header(head: str, delimiter: str) -> list[str]:
    try:
        return next((_names(r) for r in _reader(head, delimiter) if r), [])
    except csv.Error:
        return []


def _names(record: list[str]) -> list[str]:
    return [name.strip() for name in record]


def _reader(text: str, delimiter: str) -> "_csv.Reader":
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _rows(
    text: str, delimiter: str, names: list[str], wanted: tuple[str, str], *, declared: bool
) -> Iterator[Row]:
    at_prompt, at_completion = (names.index(name) for name in wanted)
    # From the top, so that the reader's count of lines is the file's.
    reader = _reader(text, delimiter)
    before = 2 if declared else 1
    begins = 1
    try:
        for fields in reader:
            # A field may hold line breaks: the count stands at the row's last line.
            line, begins = begins, reader.line_num + 1
            if not fields:
                continue
            if before:
                before -= 1
                continue
            if len(fields) != len(names):
                raise UnreadableSource(
                    f"line {reader.line_num} has {len(fields)} fields, the header has "
                    f"{len(names)}: quote fields that hold the delimiter",
                    param="file",
                )
            yield Row(fields[at_prompt], fields[at_completion], line)
    except csv.Error as error:
        raise UnreadableSource(
            f"line {reader.line_num} is not CSV: {error}", param="file"
        ) from None
