"""Files of rows: CSV, TSV, JSON lines, Parquet and plain text.

Every reader reads the whole file or raises UnreadableSource: a file is landed whole or not at all.
Reasons name columns, lines and bytes, never the text that stands there.
"""

import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from headrace_events.text import as_name
from headrace_ingest.adapters import bounds
from headrace_ingest.adapters.delimited import read_delimited
from headrace_ingest.adapters.json_lines import read_json_lines
from headrace_ingest.adapters.parquet import read_parquet
from headrace_ingest.adapters.plain_text import read_text
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold the prompt and the completion."""

    prompt: str = "prompt"
    completion: str = "completion"


_Reader = Callable[[bytes, str, str], Iterator[Row]]
_READERS: dict[str, _Reader] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".txt": read_text,
    ".text": read_text,
}
_SUFFIX = re.compile(r"(\.\w{1,16})?")


def read_rows(name: str, content: bytes, columns: Columns) -> list[Row]:
    """Read the rows of a file by its extension; raise UnreadableSource."""
    suffix = PurePath(name).suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None:
        known = ", ".join(sorted(_READERS))
        shown = suffix if _SUFFIX.fullmatch(suffix) else "another kind"
        raise UnreadableSource(
            f"files of type `{shown or 'none'}` are not read; use {known}", param="file"
        )
    if not content.strip():
        raise UnreadableSource("the file is empty", param="file")
    rows: list[Row] = []
    for row in reader(content, columns.prompt, columns.completion):
        if len(rows) >= bounds.MOST_ROWS:
            raise bounds.too_many_rows()
        rows.append(row if row.file_row else replace(row, file_row=len(rows) + 1))
    if not rows:
        raise UnreadableSource("the file has no rows", param="file")
    return rows


def read_content(path: str, max_bytes: int) -> bytes:
    """Return a local file's bytes; raise UnreadableSource where the file system says no."""
    try:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            # A device or a pipe has no end.
            raise UnreadableSource("the path is no file: a device or a pipe", param="path")
        size = found.st_size
        if size <= max_bytes:
            with Path(path).open("rb") as file:
                content = file.read(max_bytes + 1)
            if (size := len(content)) <= max_bytes:
                return content
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        reason = getattr(error, "strerror", None) or type(error).__name__
        shown = as_name(path[-200:])
        raise UnreadableSource(f"`{shown}` cannot be read: {reason}", param="path") from None
    raise UnreadableSource(
        f"the file has {size} bytes, more than the {max_bytes} that "
        "are read at once; split it into several sources",
        param="path",
    )


def fingerprint(path: str) -> str:
    """Return what changes when the file changes, or `missing`, without reading it."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return "missing"
    return f"{found.st_size}-{found.st_mtime_ns}"
