"""The tables traffic/<workload>: requests, answers, and what was said about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from headrace_ingest.adapters.delta import append_once
from headrace_ingest.core.traffic import FIELDS, Interaction, JudgedInteraction
from headrace_kit.delta import one_of, open_table, read_table, table_uri

if TYPE_CHECKING:
    import polars as pl


_REMEMBERED_DAYS = 30
"""How long a flush can be repeated: a killed one is finished at the next start."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was said about a request that is in the table already."""

    request_id: str
    rating: int
    correction: str | None
    requested_at: datetime


def _schema() -> dict[str, "pl.DataType | type[pl.DataType]"]:
    import polars as pl

    return {
        "request_id": pl.String,
        "trace_id": pl.String,
        "prompt": pl.String,
        "completion": pl.String,
        "model": pl.String,
        "model_version": pl.String,
        "arm": pl.String,
        "latency_ms": pl.Float64,
        "created_at": pl.Datetime("us", "UTC"),
        "outcome": pl.String,
        "rating": pl.Int64,
        "correction": pl.String,
    }


def append(root: str, workload: str, commit_id: str, captured: Sequence[Interaction]) -> None:
    """Commit interactions once."""
    import polars as pl

    columns: dict[str, list[object]] = {
        name: [getattr(c, name) for c in captured] for name in FIELDS
    }
    # What was said about a request comes later.
    columns |= {name: [None] * len(captured) for name in ("rating", "correction")}
    frame = pl.DataFrame(columns, schema=_schema())
    append_once(
        table_uri(root, "traffic", workload), frame, commit_id, remembered_days=_REMEMBERED_DAYS
    )


def judge(root: str, workload: str, judgements: Sequence[Judgement]) -> None:
    """Write ratings and corrections beside their requests; the same twice changes nothing."""
    import polars as pl

    table = open_table(table_uri(root, "traffic", workload))
    if table is None or not judgements:
        return
    times = [j.requested_at for j in judgements]
    source = pl.DataFrame(
        {
            "request_id": [j.request_id for j in judgements],
            "rating": pl.Series([j.rating for j in judgements], dtype=pl.Int64),
            "correction": pl.Series([j.correction for j in judgements], dtype=pl.String),
        }
    )
    # The bounds in time let the merge skip the files that cannot hold these requests.
    bounds = f"t.created_at >= {_literal(min(times))} AND t.created_at <= {_literal(max(times))}"
    (
        table.merge(
            source,
            predicate=f"t.request_id = s.request_id AND {bounds}",
            source_alias="s",
            target_alias="t",
        )
        .when_matched_update({"rating": "s.rating", "correction": "s.correction"})
        .execute()
    )


def read_judged(root: str, workload: str, requests: dict[str, datetime]) -> list[JudgedInteraction]:
    """Return the interactions with these request ids, by time and id."""
    table = open_table(table_uri(root, "traffic", workload))
    if table is None or not requests:
        return []
    lower, upper = _literal(min(requests.values())), _literal(max(requests.values()))
    frame = read_table(
        table,
        ("request_id", "prompt", "completion", "rating", "correction", "created_at"),
        f"created_at BETWEEN {lower} AND {upper} AND {one_of('request_id', requests)}",
    ).sort("created_at", "request_id")
    return [
        JudgedInteraction(
            request_id=row["request_id"],
            prompt=row["prompt"] or "",
            completion=row["completion"] or "",
            rating=row["rating"],
            correction=row["correction"],
        )
        for row in frame.iter_rows(named=True)
    ]


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.isoformat()}'"
