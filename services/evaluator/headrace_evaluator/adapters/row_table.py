"""The tables evaluations/<workload>: each row of each evaluation with both models' answers.

The question and the expected answer are in the dataset version, by the row's id.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from headrace_evaluator.core.rows import EvaluatedRow
from headrace_evaluator.core.scores import RowScore
from headrace_events.references import TableRef
from headrace_kit.delta import (
    TableUnreadable,
    literal,
    one_of,
    open_table,
    query_table,
    read_version,
    table_uri,
)

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

KIND = "evaluations"
_ATTEMPTS = 5
"""Two evaluations of one workload may commit at once; scoring again would take minutes."""
_SCORES = tuple(field.name for field in fields(RowScore))
_SIDES = ("candidate", "incumbent")


def write(
    root: str, workload: str, evaluation_id: str, rows: Sequence[EvaluatedRow], keys: dict[str, str]
) -> None:
    """Keep the rows instead of those of an earlier attempt; `keys` name the model of each side."""
    from deltalake import write_deltalake
    from deltalake.exceptions import CommitFailedError

    if not rows:
        return
    uri = table_uri(root, KIND, workload)
    for attempt in range(1, _ATTEMPTS + 1):
        table = open_table(uri)
        known = _with_answers(table, rows, keys) if table is not None else rows
        frame = _frame(evaluation_id, known, keys)
        try:
            write_deltalake(
                table if table is not None else uri,
                frame,
                mode="overwrite",
                predicate=None if table is None else f"evaluation_id = {literal(evaluation_id)}",
            )
        except CommitFailedError:
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def page(
    root: str, workload: str, evaluation_id: str, *, only: str, after: str | None, limit: int
) -> list[dict[str, Any]] | None:
    """Return rows by key, those that are `changed` or `wrong` or all; None if none were kept."""
    table = open_table(table_uri(root, KIND, workload))
    mine = f"evaluation_id = {literal(evaluation_id)}"
    if table is None or not _count(table, mine):
        return None
    where = mine if only == "all" else f"{mine} AND {only}"
    where += f" AND row_key > {literal(after)}" if after else ""
    query = f"SELECT * FROM t WHERE {where} ORDER BY row_key LIMIT {limit:d}"  # noqa: S608 - quoted
    return list(query_table(table, query).iter_rows(named=True))


def questions(table: TableRef, record_ids: set[str]) -> dict[str, tuple[str, str]]:
    """Return prompt and expected answer by row id; nothing where the dataset cannot be read."""
    columns = ("record_id", "prompt", "completion")
    try:
        frame = read_version(table.uri, table.version, columns, one_of("record_id", record_ids))
    except TableUnreadable:
        return {}
    return {row[0]: (row[1], row[2]) for row in frame.iter_rows()}


def _count(table: "DeltaTable", where: str) -> int:
    query = f"SELECT count(*) AS n FROM t WHERE {where}"  # noqa: S608 - quoted
    return int(query_table(table, query)["n"][0])


def _with_answers(
    table: "DeltaTable", rows: Sequence[EvaluatedRow], keys: dict[str, str]
) -> list[EvaluatedRow]:
    """Return the rows with answers that an earlier evaluation kept, where scores were reused."""
    found = list(rows)
    for side in _SIDES:
        if all(getattr(row, side).answer is not None for row in found):
            continue
        answers = _answers(table, keys[side])
        found = [
            replace(row, **{side: replace(score, answer=answers[row.row_key])})
            if (score := getattr(row, side)).answer is None and row.row_key in answers
            else row
            for row in found
        ]
    return found


def _answers(table: "DeltaTable", key: str) -> dict[str, str]:
    answers: dict[str, str] = {}
    for side in _SIDES:
        query = (
            f"SELECT row_key, {side}_answer FROM t WHERE {side}_key = {literal(key)} "  # noqa: S608 - quoted
            f"AND {side}_answer IS NOT NULL"
        )
        answers |= dict(query_table(table, query).iter_rows())
    return answers


def _frame(
    evaluation_id: str, rows: Sequence[EvaluatedRow], keys: dict[str, str]
) -> "pl.DataFrame":
    import polars as pl

    kinds = {"tokens": pl.Int64, "answer": pl.String}
    columns: dict[str, Any] = {
        "evaluation_id": [evaluation_id] * len(rows),
        "row_key": [row.row_key for row in rows],
        "record_id": [row.record_id for row in rows],
        "outcome": [row.outcome for row in rows],
        "changed": [row.changed for row in rows],
        "wrong": [row.wrong for row in rows],
    }
    for side in _SIDES:
        columns[f"{side}_key"] = [keys[side]] * len(rows)
        for name in _SCORES:
            values = [getattr(getattr(row, side), name) for row in rows]
            columns[f"{side}_{name}"] = pl.Series(values, dtype=kinds.get(name, pl.Float64))
    return pl.DataFrame(columns)
