"""The holdout rows of a dataset version, a stable sample of them."""

import hashlib
from dataclasses import dataclass, field

from headrace_evaluator.core.scores import row_key
from headrace_events.references import TableRef
from headrace_kit.delta import TableUnreadable, read_version


class HoldoutMissing(Exception):
    """The dataset version cannot be read or has no holdout; the message says what to do."""


@dataclass(frozen=True)
class HoldoutRow:
    """A question and the answer that is expected."""

    key: str
    prompt: str = field(repr=False)
    completion: str = field(repr=False)
    record_id: str = ""


def load(table: TableRef, max_rows: int) -> list[HoldoutRow]:
    """Read at most `max_rows` rows, those with the smallest hashes of their ids.

    So a later dataset version that holds the same rows gives (mostly) the same sample.
    """
    columns = ("record_id", "prompt", "completion")
    try:
        rows = read_version(table.uri, table.version, columns, "split = 'holdout'").rows()
    except TableUnreadable as error:
        raise HoldoutMissing(str(error)) from None
    rows.sort(key=lambda row: (_rank(row[0]), row[0]))
    sample = {row_key(p, c): HoldoutRow(row_key(p, c), p, c, i) for i, p, c in rows[:max_rows]}
    return list(sample.values())


def _rank(record_id: str) -> str:
    return hashlib.sha256(record_id.encode()).hexdigest()
