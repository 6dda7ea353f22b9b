"""Contents of uploaded files: one small Delta table each, so that any storage root will do."""

from headrace_ingest.adapters.delta import append_once
from headrace_kit.delta import open_table, read_table, table_uri


def store(root: str, file_id: str, content: bytes) -> None:
    """Keep a file's bytes under its id; nobody sees them before the commit."""
    import polars as pl

    append_once(table_uri(root, "files", file_id), pl.DataFrame({"content": [content]}), file_id)


def load(root: str, file_id: str) -> bytes | None:
    """Return a file's bytes, or None if they were deleted."""
    table = open_table(table_uri(root, "files", file_id))
    if table is None:
        return None
    contents = read_table(table, ["content"])["content"].to_list()
    return bytes(contents[0]) if contents else None


def delete(root: str, file_id: str) -> None:
    """Delete a file's bytes for good."""
    table = open_table(table_uri(root, "files", file_id))
    if table is None:
        return
    table.delete()
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
