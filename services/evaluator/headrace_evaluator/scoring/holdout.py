"""The holdout rows of a dataset version, a stable sample of them."""

import hashlib
from dataclasses import dataclass, field

from headrace_evaluator.core.scores import row_key
from headrace_events.references import TableRef


class HoldoutMissing(Exception):
    """The dataset version cannot be read or has no holdout; the message says what to do."""


@dataclass(frozen=True)
class HoldoutRow:
    """A question and the answer that is expected."""

    key: str
    prompt: str = field(repr=False)
    completion: str = field(repr=False)


def load(table: TableRef, max_rows: int) -> list[HoldoutRow]:
    """Read at most `max_rows` rows, those with the smallest hashes of their ids.

    So a later dataset version that holds the same rows gives (mostly) the same sample.
    """
    import polars
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        found = (
            polars.scan_delta(table.uri, version=table.version)
            .filter(polars.col("split") == "holdout")
            .select("record_id", "prompt", "completion")
            .collect()
        )
    except (TableNotFoundError, DeltaError, polars.exceptions.PolarsError, OSError) as error:
        raise HoldoutMissing(
            f"version {table.version} of the Delta table {table.uri} cannot be read "
            f"({type(error).__name__}): check that it exists and that this service may read it"
        ) from None
    rows = sorted(found.iter_rows(), key=lambda row: (_rank(row[0]), row[0]))
    sample = {row_key(p, c): HoldoutRow(row_key(p, c), p, c) for _, p, c in rows[:max_rows]}
    return list(sample.values())


def _rank(record_id: str) -> str:
    return hashlib.sha256(record_id.encode()).hexdigest()
