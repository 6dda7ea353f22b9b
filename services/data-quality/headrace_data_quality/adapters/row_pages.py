"""Pages of rows out of Delta tables, in the order of source, file row and record id."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace_data_quality.adapters.reject_table import REFUSED, REJECTS
from headrace_events.references import TableRef
from headrace_kit.delta import literal, one_of, open_table, query_table, table_uri

if TYPE_CHECKING:
    from deltalake import DeltaTable

LONGEST_TEXT = 20_000
"""Characters of one text on a page: what is dropped for its length may be a whole document."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page: what comes after (source, file row, record id), so many rows, those of `only`."""

    after: tuple[str, int, str] | None
    limit: int
    only: str = "true"


def dataset_rows(table: TableRef, asked: Asked, *, text: bool) -> list[dict[str, Any]]:
    """Return rows of a version; with `text` their prompts and completions too."""
    found = open_table(table.uri, table.version)
    if found is None:
        raise LookupError(f"the dataset table {table.uri} is gone")
    columns = ["split", "language", "origin"]
    columns += [f"character_length({name}) AS {name}_chars" for name in ("prompt", "completion")]
    return _page(found, columns + (["prompt", "completion"] if text else []), asked)


def rejects(root: str, workload: str, asked: Asked, *, refused: bool) -> list[dict[str, Any]]:
    """Return dropped rows; `told` is whether their release kept more than the reason."""
    found = open_table(table_uri(root, REFUSED if refused else REJECTS, workload))
    if found is None:
        return []
    wanted = {"kept_id": "STRING", "kept_source": "STRING", "kept_file_row": "BIGINT",
              "similarity": "DOUBLE", "rejects_id": "STRING"}  # fmt: skip
    there = _names(found)
    columns = ["batch_id", "reason"]
    columns += [n if n in there else f"CAST(NULL AS {kind}) AS {n}" for n, kind in wanted.items()]
    return _page(found, columns, asked)


def of_rejects(rejects_id: str | None, version: int) -> str:
    """Return the condition for the rejects of a version; without an id a release before kept it."""
    if rejects_id is None:
        return f"dataset_version = {version:d}"
    return f"rejects_id = {literal(rejects_id)}"


def raw_texts(root: str, workload: str, record_ids: set[str]) -> dict[str, tuple[str, str]]:
    """Return prompt and completion of landed records, cut where they are very long."""
    found = open_table(table_uri(root, "raw", workload))
    if found is None or not record_ids:
        return {}
    cut = ", ".join(f"substr({n}, 1, {LONGEST_TEXT}) AS {n}" for n in ("prompt", "completion"))
    frame = query_table(
        found,
        f"SELECT record_id, {cut} FROM t WHERE {one_of('record_id', record_ids)}",  # noqa: S608 - quoted
    )
    return {row[0]: (row[1] or "", row[2] or "") for row in frame.iter_rows()}


def _page(table: "DeltaTable", columns: list[str], asked: Asked) -> list[dict[str, Any]]:
    there = _names(table)
    # A table of a release before lacks these.
    source = "COALESCE(source, '')" if "source" in there else "''"
    line = "COALESCE(file_row, 0)" if "file_row" in there else "CAST(0 AS BIGINT)"
    inner = ", ".join(["record_id", f"{source} AS source", f"{line} AS file_row", *columns])
    where = "true"
    if asked.after:
        at_source, at_line, at_id = asked.after
        where = (
            f"(source > {literal(at_source)} OR (source = {literal(at_source)} AND "
            f"(file_row > {at_line:d} OR (file_row = {at_line:d} AND "
            f"record_id > {literal(at_id)}))))"
        )
    query = (
        f"SELECT * FROM (SELECT {inner} FROM t WHERE {asked.only}) WHERE {where} "  # noqa: S608 - ours
        f"ORDER BY source, file_row, record_id LIMIT {asked.limit:d}"
    )
    return list(query_table(table, query).iter_rows(named=True))


def _names(table: "DeltaTable") -> set[str]:
    return {field.name for field in table.schema().fields}
