"""The tables rejects/<workload> and refused/<workload>: dropped rows, without their text.

`rejects` grows with every version. `refused` holds those of the newest curation that made no
version of what still waits: the next curation judges the same rows again, so it is written over.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace_data_quality.adapters.delta import commit, find_commit
from headrace_data_quality.core.rows import Reject
from headrace_data_quality.core.versions import digest
from headrace_kit.delta import open_table, read_table, table_uri

if TYPE_CHECKING:
    import polars as pl

REJECTS, REFUSED = "rejects", "refused"


def append(
    root: str, workload: str, plan_id: str, version: int | None, rejects: Sequence[Reject]
) -> str | None:
    """Append the rejects of a plan once; return their id, None if there are none.

    `version` is None if no version came of them.
    """
    uri = table_uri(root, REJECTS, workload)
    if not rejects:
        return None
    identity = _identity(plan_id, version, rejects)
    if find_commit(uri, identity) is None:
        commit(uri, _frame(identity, version, rejects), identity, "append", {})
    return identity


def replace_refused(
    root: str, workload: str, plan_id: str, rejects: Sequence[Reject]
) -> str | None:
    """Keep the rejects of a curation whose batches wait on, instead of the one before."""
    from deltalake import write_deltalake

    if not rejects:
        return None
    uri = table_uri(root, REFUSED, workload)
    identity = _identity(plan_id, None, rejects)
    table = open_table(uri)
    if table is not None and identity in read_table(table, ["rejects_id"])["rejects_id"]:
        return identity
    frame = _frame(identity, None, rejects)
    write_deltalake(
        table if table is not None else uri, frame, mode="overwrite", schema_mode="overwrite"
    )
    return identity


def _identity(plan_id: str, version: int | None, rejects: Sequence[Reject]) -> str:
    told = (
        "\x1e".join((r.record_id, r.reason, r.kept.record_id if r.kept else "")) for r in rejects
    )
    return digest("rejects", plan_id, str(version), *told)


def _frame(identity: str, version: int | None, rejects: Sequence[Reject]) -> "pl.DataFrame":
    import polars as pl

    kept = [r.kept for r in rejects]
    return pl.DataFrame(
        {
            "record_id": [r.record_id for r in rejects],
            "batch_id": [r.batch_id for r in rejects],
            "dataset_version": pl.Series([version] * len(rejects), dtype=pl.Int64),
            "reason": [r.reason for r in rejects],
            "rejects_id": [identity] * len(rejects),
            "source": [r.source for r in rejects],
            "file_row": pl.Series([r.file_row for r in rejects], dtype=pl.Int64),
            "kept_id": pl.Series([k and k.record_id for k in kept], dtype=pl.String),
            "kept_source": pl.Series([k and k.source for k in kept], dtype=pl.String),
            "kept_file_row": pl.Series([k and k.file_row for k in kept], dtype=pl.Int64),
            "similarity": pl.Series([r.similarity for r in rejects], dtype=pl.Float64),
        }
    )
