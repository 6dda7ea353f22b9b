"""Training rows of a dataset version, from its Delta commit."""

from headrace_events.references import DatasetRef
from headrace_kit.delta import TableUnreadable, read_version


class DatasetUnreadable(Exception):
    """The dataset version cannot be read; the message says which."""


def train_rows(dataset: DatasetRef) -> list[tuple[str, str]]:
    """Return (prompt, completion) of the train split, in the order of their record ids."""
    table = dataset.table
    columns = ("record_id", "prompt", "completion")
    try:
        rows = read_version(table.uri, table.version, columns, "split = 'train'").rows()
    except TableUnreadable as error:
        raise DatasetUnreadable(f"dataset version {dataset.version}: {error}") from None
    return [(prompt, completion) for _, prompt, completion in sorted(rows)]
