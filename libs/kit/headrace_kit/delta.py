"""Delta tables, wherever they lie: the one place that turns a folder or a URI into a table.

Tables are read by deltalake's own engine. Polars' `scan_delta` takes the percent-encoded names of
deltalake's files for paths and finds nothing in a folder with a space, an accent, `%` or `#`.
A service that uses this declares deltalake and polars among its dependencies.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace_events.locations import local_path

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

# What deltalake 1.6 takes for something else in a local path: it decodes `%41` twice, ends the
# process's thread (a PanicException) at a bracket, and reads a backslash as a slash.
_NOT_IN_A_FOLDER = re.compile(r"%[0-9A-Fa-f]{2}|[\[\]^|\\\x00-\x1f\x7f]")

_COMMIT_FILE = re.compile(r"\d{20}\.json")


class TableUnreadable(Exception):
    """A table or a file of it is not there, or is no Parquet; the message says where to look."""


def refuse_root(root: str) -> str | None:
    """Return why no table can lie under this storage root, or None if one can."""
    if "://" in root:
        return None  # a URI is encoded by whoever wrote it
    found = _NOT_IN_A_FOLDER.search(str(Path(root).absolute()))
    if found is None:
        return None
    return (
        f"Delta tables cannot lie in {Path(root).absolute()}: its path has `{found[0]}`. Use a "
        "folder whose path has none of [ ] ^ | \\, no control character, and no % before two "
        "hexadecimal digits"
    )


def table_uri(root: str, kind: str, name: str) -> str:
    """Return where a table lies under the storage root, an absolute path where it is a folder."""
    base = root.rstrip("/") if "://" in root else str(Path(root).absolute())
    return f"{base}/{kind}/{name}"


def open_table(uri: str, version: int | None = None) -> "DeltaTable | None":
    """Return the table at a version (the newest without one), or None if there is no table."""
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(uri, version=version)
    except TableNotFoundError:
        return None


def read_table(table: "DeltaTable", columns: Sequence[str], where: str = "true") -> "pl.DataFrame":
    """Return these columns of the rows that fit a condition in SQL, in no order.

    Only the files that can hold such rows are read. Values in `where` go through `literal`.
    Raises TableUnreadable.
    """
    names = ", ".join(f'"{name}"' for name in columns)
    return query_table(table, f"SELECT {names} FROM t WHERE {where}")  # noqa: S608 - our names, quoted values


def query_table(table: "DeltaTable", query: str) -> "pl.DataFrame":
    """Return what a query of SQL finds in the table, which it calls `t`; raise TableUnreadable.

    `ORDER BY ... LIMIT` holds no more than the limit in memory. Values go through `literal`.
    """
    import polars as pl
    from deltalake import QueryBuilder
    from deltalake.exceptions import DeltaError

    try:
        return pl.DataFrame(QueryBuilder().register("t", table).execute(query))
    except (DeltaError, pl.exceptions.PolarsError, OSError) as error:
        raise TableUnreadable(_why(table.table_uri, table.version(), error)) from error


def read_version(
    uri: str, version: int, columns: Sequence[str], where: str = "true"
) -> "pl.DataFrame":
    """Return rows of one version of a table as `read_table` does; raise TableUnreadable."""
    from deltalake.exceptions import DeltaError

    try:
        table = open_table(uri, version)
    except (DeltaError, OSError) as error:
        raise TableUnreadable(_why(uri, version, error)) from error
    if table is None:
        raise TableUnreadable(_why(uri, version, FileNotFoundError(uri)))
    return read_table(table, columns, where)


def _why(uri: str, version: int, error: Exception) -> str:
    return (
        f"version {version} of the Delta table {uri} cannot be read ({type(error).__name__}): "
        "check that it exists and that this service may read it"
    )


def commits(table: "DeltaTable", limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield what the commits of a table say of themselves, with their `version`, newest first.

    Of a local table the log itself is read: deltalake's `history` is empty in a folder with a `#`.
    """
    folder = local_path(table.table_uri)
    if folder is None:
        yield from (dict(commit) for commit in table.history(limit))
        return
    log = folder / "_delta_log"
    names = sorted((f.name for f in log.iterdir() if _COMMIT_FILE.fullmatch(f.name)), reverse=True)
    known = [name for name in names if int(name.partition(".")[0]) <= table.version()]
    for name in known[:limit]:
        try:
            lines = (log / name).read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return  # its time was over: it went out of the log just now, with all before it
        for line in filter(None, lines):
            action = json.loads(line)
            if "commitInfo" in action:
                yield {**action["commitInfo"], "version": int(name.partition(".")[0])}


def literal(value: str) -> str:
    """Return a text as a literal of SQL; it has no escape but the doubled quote."""
    return "'" + value.replace("'", "''") + "'"


def one_of(column: str, values: Iterable[str]) -> str:
    """Return the condition that a column is one of some texts."""
    listed = ", ".join(sorted(literal(value) for value in values))
    return f'"{column}" IN ({listed})' if listed else "false"
