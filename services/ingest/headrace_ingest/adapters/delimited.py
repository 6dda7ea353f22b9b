"""CSV and TSV with a header line."""

import csv
import io

from headrace_ingest.adapters.decoding import decode, missing_columns
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

_DELIMITERS = (",", ";", "\t")
# The default of 128 KiB is shorter than a long document in one field.
_LONGEST_FIELD = 16 * 1024 * 1024


def read_delimited(content: bytes, prompt: str, completion: str) -> list[Row]:
    """Read rows; the delimiter is the one under which the header has both columns."""
    text = decode(content)
    first_line = text.lstrip("\r\n").partition("\n")[0].rstrip("\r")
    headers = {mark: _header(first_line, mark) for mark in _DELIMITERS}
    wanted = (prompt, completion)
    delimiter = next((m for m, names in headers.items() if set(wanted) <= set(names)), None)
    if delimiter is None:
        raise missing_columns(wanted, max(headers.values(), key=len))
    return _rows(text, delimiter, prompt, completion)


def _header(line: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]


def _rows(text: str, delimiter: str, prompt: str, completion: str) -> list[Row]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    names: list[str] = []
    try:
        for fields in reader:
            if not fields:
                continue
            if not names:
                names = [name.strip() for name in fields]
                at_prompt, at_completion = names.index(prompt), names.index(completion)
                continue
            if len(fields) != len(names):
                raise UnreadableSource(
                    f"line {reader.line_num} has {len(fields)} fields, the header has "
                    f"{len(names)}: quote fields that hold the delimiter",
                    param="file",
                )
            rows.append(Row(fields[at_prompt], fields[at_completion]))
    except csv.Error as error:
        raise UnreadableSource(
            f"line {reader.line_num} is not CSV: {error}", param="file"
        ) from None
    return rows
