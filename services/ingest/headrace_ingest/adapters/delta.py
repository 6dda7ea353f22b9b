"""Delta commits that happen once: each carries the id of what made it."""

import time
from typing import TYPE_CHECKING

from headrace_kit.delta import commits, open_table

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

_COMMIT = "headrace.commit"
# How far back a repeated attempt looks for its own commit; it is near the end of the log.
_HISTORY = 1000


def append_once(
    uri: str,
    frame: "pl.DataFrame",
    commit_id: str,
    *,
    partition_by: str | None = None,
    remembered_days: int | None = None,
) -> "DeltaTable":
    """Append the frame unless a commit with this id is there; return the table with it.

    The id is a Delta transaction id: two writers that race for it conflict, and the one that
    loses raises CommitFailedError and finds the other's commit when it tries again. Each opening
    of a table loads all its ids, so one with many commits forgets them after `remembered_days`.
    """
    from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

    table = open_table(uri)
    if table is not None and table.transaction_version(commit_id) is not None:
        return table
    write_deltalake(
        table if table is not None else uri,
        frame,
        mode="append",
        partition_by=partition_by if table is None else None,
        configuration=_forgetting(remembered_days) if table is None else None,
        commit_properties=CommitProperties(
            custom_metadata={_COMMIT: commit_id},
            app_transactions=[
                Transaction(app_id=commit_id, version=1, last_updated=time.time_ns() // 1_000_000)
            ],
        ),
    )
    return table if table is not None else DeltaTable(uri)


def _forgetting(days: int | None) -> dict[str, str | None] | None:
    return {"delta.setTransactionRetentionDuration": f"interval {days} days"} if days else None


def version_of(table: "DeltaTable", commit_id: str) -> int:
    """Return the version that the commit with this id made; reads the log, up to its 1000 newest.

    If it is older, any later version holds its rows too: the table's is returned.
    """
    for commit in commits(table, _HISTORY):
        if commit.get(_COMMIT) == commit_id:
            return int(commit["version"])
    return int(table.version())
