"""Training rows of a dataset version, from its Delta commit."""

from headrace_events.references import DatasetRef


class DatasetUnreadable(Exception):
    """The dataset version cannot be read; the message says which."""


def train_rows(dataset: DatasetRef) -> list[tuple[str, str]]:
    """Return (prompt, completion) of the train split, in the order of their record ids."""
    import polars
    from deltalake.exceptions import DeltaError, TableNotFoundError

    table = dataset.table
    try:
        found = (
            polars.scan_delta(table.uri, version=table.version)
            .filter(polars.col("split") == "train")
            .select("record_id", "prompt", "completion")
            .collect()
        )
    except (TableNotFoundError, DeltaError, polars.exceptions.PolarsError, OSError) as error:
        raise DatasetUnreadable(
            f"dataset version {dataset.version} (version {table.version} of the Delta table "
            f"{table.uri}) cannot be read ({type(error).__name__}): check that it exists and that "
            "this service may read it"
        ) from None
    return [(prompt, completion) for _, prompt, completion in sorted(found.iter_rows())]
