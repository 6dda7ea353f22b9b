"""The tables datasets/<workload>: a Delta commit is a version."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from headrace_data_quality.adapters.delta import commit, find_commit
from headrace_data_quality.core.rows import DatasetRow
from headrace_events.references import TableRef
from headrace_kit.delta import open_table, read_table, table_uri

_VERSION = "headrace.version"
_SUMMARY = "headrace.summary"


@dataclass(frozen=True, slots=True)
class Written:
    """A dataset version in its table, with the counts that its commit carries."""

    table: TableRef
    version: int
    rejects: dict[str, int]
    redactions: dict[str, int]
    rejects_id: str | None


def find_version(root: str, workload: str, plan_id: str) -> Written | None:
    """Return the version that an earlier attempt at this plan committed, or None."""
    uri = table_uri(root, "datasets", workload)
    found = find_commit(uri, plan_id)
    if found is None:
        return None
    summary: dict[str, Any] = json.loads(found[_SUMMARY])
    return Written(
        table=TableRef(uri=uri, version=int(found["version"])),
        version=int(found[_VERSION]),
        rejects=summary["rejects"],
        redactions=summary["redactions"],
        rejects_id=summary.get("rejects_id"),  # a release before did not name them
    )


def write_version(  # the parts of one commit
    root: str,
    workload: str,
    plan_id: str,
    version: int,
    rows: Sequence[DatasetRow],
    rejects: dict[str, int],
    redactions: dict[str, int],
    rejects_id: str | None,
) -> Written:
    """Commit a version; it replaces the rows, the versions before it stay readable."""
    import polars as pl

    frame = pl.DataFrame(
        [asdict(row) for row in rows],
        schema={
            "record_id": pl.String,
            "prompt": pl.String,
            "completion": pl.String,
            "language": pl.String,
            "split": pl.String,
            "origin": pl.String,
            "source": pl.String,
            "file_row": pl.Int64,
        },
    )
    summary = json.dumps(
        {"rejects": rejects, "redactions": redactions, "rejects_id": rejects_id}, sort_keys=True
    )
    uri = table_uri(root, "datasets", workload)
    commit(uri, frame, plan_id, "overwrite", {_VERSION: str(version), _SUMMARY: summary})
    written = find_version(root, workload, plan_id)
    if written is None:
        raise LookupError(f"the commit {plan_id} is not in the log of {uri}")
    return written


def read_version(table: TableRef) -> list[DatasetRow]:
    """Return the rows of a version."""
    found = open_table(table.uri, table.version)
    if found is None:
        raise LookupError(f"the dataset table {table.uri} is gone")
    # A version of a release before lacks the newest columns.
    there = {field.name for field in found.schema().fields}
    columns = [field.name for field in fields(DatasetRow) if field.name in there]
    frame = read_table(found, columns).sort("record_id")
    return [DatasetRow(**row) for row in frame.iter_rows(named=True)]
