"""Delta tables: committed once."""

from typing import TYPE_CHECKING, Any, Literal

from headrace_kit.delta import commits, open_table

if TYPE_CHECKING:
    import polars as pl

COMMIT = "headrace.commit"
# Old versions must stay readable: neither the log nor the files of a version expire.
_FOR_EVER = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}


def find_commit(uri: str, commit_id: str) -> dict[str, Any] | None:
    """Return the commit with this id, or None if nobody made it."""
    table = open_table(uri)
    if table is None or table.transaction_version(commit_id) is None:
        return None
    for commit in commits(table):
        if commit.get(COMMIT) == commit_id:
            return commit
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
        # A table of the release before has fewer columns.
        schema_mode="merge" if mode == "append" else "overwrite",
        configuration=_FOR_EVER if table is None else None,
        commit_properties=CommitProperties(
            custom_metadata={COMMIT: commit_id, **metadata},
            app_transactions=[Transaction(app_id=commit_id, version=1)],
        ),
    )
