"""Rows and records: what is read from a source, and what is landed."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_HASH_SPACE = 1 << 64


@dataclass(frozen=True, slots=True)
class Row:
    """One training row as its source has it."""

    prompt: str
    completion: str
    file_row: int | None = field(default=None, compare=False)
    """Where it begins in its file, as an editor counts: the header of a CSV is line 1. In a file
    without lines (Parquet) its number from 1; None where there is no file."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One row of the table raw/<workload>."""

    record_id: str
    batch_id: str
    source: str
    prompt: str
    completion: str
    landed_at: datetime
    origin: dict[str, Any] = field(default_factory=dict)


def digest(*parts: str) -> str:
    """Return a short SHA-256 over `parts`, which are kept apart."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def position(prompt: str) -> float:
    """Return where the prompt lies in [0, 1): the same for ever, whatever comes around it."""
    hashed = hashlib.sha256(b"part\x1f" + prompt.strip().encode()).digest()
    return int.from_bytes(hashed[:8], "big") / _HASH_SPACE


def select(
    rows: Iterable[Row], part: tuple[float, float] = (0.0, 1.0), limit: int | None = None
) -> list[Row]:
    """Return the rows whose prompt lies in the slice `part`, at most `limit`, in their order.

    A limit takes a sample, the rows with the smallest positions: the first rows of a file that is
    sorted by label would be of few labels.
    """
    lower, upper = part
    chosen = [row for row in rows if lower <= position(row.prompt) < upper or part == (0.0, 1.0)]
    if limit is None or len(chosen) <= limit:
        return chosen
    ranked = sorted(range(len(chosen)), key=lambda index: (position(chosen[index].prompt), index))
    return [chosen[index] for index in sorted(ranked[:limit])]


def make_records(
    rows: Sequence[Row], *, batch_id: str, source: str, landed_at: datetime
) -> list[RawRecord]:
    """Return the records of one batch; their ids are the same when the batch is landed again."""
    return [
        RawRecord(
            record_id=digest(batch_id, str(index)),
            batch_id=batch_id,
            source=source,
            prompt=row.prompt,
            completion=row.completion,
            landed_at=landed_at,
            origin={"row": index + 1, **({"file_row": row.file_row} if row.file_row else {})},
        )
        for index, row in enumerate(rows)
    ]
