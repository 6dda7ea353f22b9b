"""Delta tables: opened where they are, committed once."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

COMMIT = "headrace.commit"
# Old versions must stay readable: neither the log nor the files of a version expire.
_FOR_EVER = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}


def table_uri(root: str, kind: str, name: str) -> str:
    """Return the URI of a table under the storage root, absolute where it is a folder."""
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


def find_commit(uri: str, commit_id: str) -> dict[str, Any] | None:
    """Return the commit with this id, or None if nobody made it."""
    table = open_table(uri)
    if table is None or table.transaction_version(commit_id) is None:
        return None
    for commit in table.history():
        if commit.get(COMMIT) == commit_id:
            return dict(commit)
    raise LookupError(f"the log of {uri} knows the transaction {commit_id} but not its commit")


def commit(
    uri: str,
    frame: "pl.DataFrame",
    commit_id: str,
    mode: Literal["append", "overwrite"],
    metadata: dict[str, str],
) -> None:
    """Commit the frame under an id; two writers that race for the table or the id conflict."""
    from deltalake import CommitProperties, Transaction, write_deltalake

    table = open_table(uri)
    write_deltalake(
        table if table is not None else uri,
        frame,
        mode=mode,
        configuration=_FOR_EVER if table is None else None,
        commit_properties=CommitProperties(
            custom_metadata={COMMIT: commit_id, **metadata},
            app_transactions=[Transaction(app_id=commit_id, version=1)],
        ),
    )
