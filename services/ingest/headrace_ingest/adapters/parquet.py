"""Parquet, as `parquet_worker` reads it: in the service a damaged file would end all of it."""

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
_MOST_ROWS_AT_ONCE = 1024
_BYTES_AT_ONCE = 32 * 1024 * 1024


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
    texts = scan.select([_as_text(n, schema[n]) for n in dict.fromkeys(wanted)])
    frames = [_without_zeros(frame, at) for at, frame in _unpacked(texts, damaged)]
    return (
        Row(*pair)
        for frame in frames
        for pair in zip(*(frame[name] for name in wanted), strict=True)
    )


def _unpacked(texts: "pl.LazyFrame", damaged: str) -> Iterator[tuple[int, "pl.DataFrame"]]:
    """Yield bounded pieces and the row where each begins; refuse what unpacks to too much.

    A piece is no larger than the rows before it let expect: all at once, half a megabyte of zstd
    took a gigabyte and a half before it was refused.
    """
    import polars as pl

    at = total = 0
    step, longest = 1, 1
    while True:
        frame = _or_refuse(texts.slice(at, step).collect, damaged)
        if frame.is_empty():
            return
        sizes = frame.select(pl.sum_horizontal(pl.all().str.len_bytes())).to_series().to_list()
        total += sum(sizes)
        if total > bounds.MOST_BYTES:
            raise bounds.too_many_bytes()
        yield at, frame
        at += frame.height
        longest = max(longest, *sizes)
        step = max(1, min(2 * step, _MOST_ROWS_AT_ONCE, _BYTES_AT_ONCE // longest))


def _without_zeros(frame: "pl.DataFrame", at: int) -> "pl.DataFrame":
    for column in frame.iter_columns():
        zeros = column.str.contains("\x00", literal=True).arg_true()
        if len(zeros):
            raise UnreadableSource(
                f"row {at + zeros[0] + 1}: column {quoted(column.name)} holds a binary zero: it is "
                "not text",
                param="file",
            )
    return frame


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
