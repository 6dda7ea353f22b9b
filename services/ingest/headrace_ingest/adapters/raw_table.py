"""The tables raw/<workload>: every batch is one commit and one partition."""

import json
from collections.abc import Sequence

from headrace_events.references import TableRef
from headrace_ingest.adapters.delta import append_once, version_of
from headrace_ingest.core.records import RawRecord
from headrace_kit.delta import open_table, table_uri


def land(root: str, workload: str, records: Sequence[RawRecord]) -> TableRef:
    """Commit one batch, or find the commit of an earlier attempt; return where it is."""
    import polars as pl

    batch_id = records[0].batch_id
    frame = pl.DataFrame(
        {
            "record_id": [r.record_id for r in records],
            "batch_id": [r.batch_id for r in records],
            "source": [r.source for r in records],
            "prompt": [r.prompt for r in records],
            "completion": [r.completion for r in records],
            "origin": [json.dumps(r.origin, sort_keys=True) for r in records],
            "landed_at": pl.Series([r.landed_at for r in records], dtype=pl.Datetime("us", "UTC")),
        }
    )
    uri = table_uri(root, "raw", workload)
    table = append_once(uri, frame, batch_id, partition_by="batch_id")
    return TableRef(uri=uri, version=version_of(table, batch_id))


def count_rows(root: str, workload: str) -> int:
    """Return how many records the workload's raw table holds."""
    table = open_table(table_uri(root, "raw", workload))
    return int(table.count()) if table is not None else 0
