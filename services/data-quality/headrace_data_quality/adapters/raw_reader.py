"""Reads landed records from ingest's raw tables."""

import json
from collections.abc import Sequence
from typing import Any

from headrace_data_quality.core.rows import Origin, RawRow
from headrace_events.references import TableRef
from headrace_kit.delta import one_of, open_table, read_table


def read_batches(table: TableRef, batches: Sequence[str]) -> list[RawRow]:
    """Return the rows of some batches, batch by batch in the order given, as they were landed."""
    found = open_table(table.uri, table.version)
    if found is None:
        raise LookupError(f"the raw table {table.uri} is gone")
    columns = ("record_id", "batch_id", "source", "prompt", "completion", "origin")
    frame = read_table(found, columns, one_of("batch_id", batches))
    order = {batch_id: index for index, batch_id in enumerate(batches)}
    rows = [_row(row) for row in frame.iter_rows(named=True)]
    places = [_place(row) for row in frame["origin"]]
    ranked = sorted(
        zip(rows, places, strict=True),
        key=lambda pair: (order[pair[0].batch_id], pair[1], pair[0].record_id),
    )
    return [row for row, _ in ranked]


def _row(row: dict[str, Any]) -> RawRow:
    told = _origin(row["origin"])
    kind, file_row = told.get("kind"), told.get("file_row")
    origin: Origin = kind if kind in ("correction", "liked") else "source"
    return RawRow(
        record_id=row["record_id"],
        batch_id=row["batch_id"],
        prompt=row["prompt"] or "",
        completion=row["completion"] or "",
        origin=origin,
        source=row["source"] or "",
        file_row=file_row if isinstance(file_row, int) else None,
    )


def _place(origin: str | None) -> int:
    """Return the row's number in its source; parallel readers do not keep the order."""
    place = _origin(origin).get("row", 0)
    return place if isinstance(place, int) else 0


def _origin(origin: str | None) -> dict[str, Any]:
    try:
        found = json.loads(origin or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
