"""Parquet."""

import io

from headrace_ingest.adapters.decoding import missing_columns
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row


def read_parquet(content: bytes, prompt: str, completion: str) -> list[Row]:
    """Read the two columns as text."""
    import polars as pl

    try:
        names = list(pl.read_parquet_schema(io.BytesIO(content)))
    except Exception:  # noqa: BLE001 - polars raises what its Rust side found; all mean the same
        raise UnreadableSource(
            "the file is not Parquet, or it is cut short or damaged: write it again", param="file"
        ) from None
    if prompt not in names or completion not in names:
        raise missing_columns((prompt, completion), names)
    try:
        frame = pl.read_parquet(io.BytesIO(content), columns=[prompt, completion])
    except Exception:  # noqa: BLE001
        raise UnreadableSource(
            "the Parquet file has a footer but its data is damaged: write it again", param="file"
        ) from None
    for name in (prompt, completion):
        if frame.schema[name].is_nested() or frame.schema[name] == pl.Binary:
            raise UnreadableSource(f"column `{name}` is not text", param="file")
    texts = [frame[name].cast(pl.String).fill_null("").to_list() for name in (prompt, completion)]
    return [Row(*pair) for pair in zip(*texts, strict=True)]
