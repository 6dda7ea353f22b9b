"""Parquet."""

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from headrace_ingest.adapters import bounds
from headrace_ingest.adapters.columns import missing_columns, quoted
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")


def read_parquet(content: bytes, prompt: str, completion: str) -> Iterator[Row]:
    """Read the two columns as text; NaN is no value, as null is."""
    import polars as pl

    schema = _or_refuse(
        lambda: pl.read_parquet_schema(io.BytesIO(content)),
        "the file is not Parquet, or it is cut short or damaged: write it again",
    )
    wanted = (prompt, completion)
    if not set(wanted) <= set(schema):
        raise missing_columns(wanted, list(schema), named=True)
    for name in wanted:
        if not _is_text(schema[name]):
            nested = schema[name].is_nested()
            kind = "" if nested else f" but {str(schema[name].base_type()).lower()}"
            raise UnreadableSource(f"column {quoted(name)} is not text{kind}", param="file")
    damaged = "the Parquet file has a footer but its data is damaged: write it again"
    scan = pl.scan_parquet(io.BytesIO(content))
    if _or_refuse(lambda: scan.select(pl.len()).collect().item(), damaged) > bounds.MOST_ROWS:
        raise bounds.too_many_rows()
    frame = _or_refuse(
        lambda: scan.select([_as_text(n, schema[n]) for n in dict.fromkeys(wanted)]).collect(),
        damaged,
    )
    columns = [frame[name] for name in wanted]
    if sum(int(column.str.len_bytes().sum()) for column in columns) > bounds.MOST_BYTES:
        raise bounds.too_many_bytes()
    for column in columns:
        zeros = column.str.contains("\x00", literal=True).arg_true()
        if len(zeros):
            raise UnreadableSource(
                f"row {zeros[0] + 1}: column {quoted(column.name)} holds a binary zero: it is not "
                "text",
                param="file",
            )
    return (Row(*pair) for pair in zip(*columns, strict=True))


def _is_text(kind: "pl.DataType") -> bool:
    import polars as pl

    return kind.is_numeric() or kind.base_type() in (
        pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Date, pl.Datetime, pl.Time, pl.Null,
    )  # fmt: skip


def _as_text(name: str, kind: "pl.DataType") -> "pl.Expr":
    import polars as pl

    column = pl.col(name)
    if kind.is_float():
        column = column.fill_nan(None)
    return column.cast(pl.String).fill_null("")


def _or_refuse(read: Callable[[], T], reason: str) -> T:
    """Return what `read` returns; polars raises what its Rust side found, panics too."""
    import polars as pl

    try:
        return read()
    except (Exception, pl.exceptions.PanicException):  # noqa: BLE001 - all mean the same
        raise UnreadableSource(reason, param="file") from None
