"""Scores that were computed once, by model and row."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_evaluator.adapters.tables import ScoreRow
from headrace_evaluator.core.scores import RowScore, RowScores


async def load(session: AsyncSession, model_keys: Iterable[str]) -> dict[str, RowScores]:
    """Return what is known of each model."""
    known: dict[str, RowScores] = {key: {} for key in model_keys}
    rows = await session.scalars(select(ScoreRow).where(ScoreRow.model_key.in_(list(known))))
    for row in rows:
        known[row.model_key][row.row_key] = RowScore(
            exact_match=row.exact_match, rouge_l=row.rouge_l, loss=row.loss, tokens=row.tokens
        )
    return known


async def store(session: AsyncSession, scores: dict[str, RowScores]) -> None:
    """Keep the scores that are not known yet."""
    known = await load(session, scores)
    for model_key, rows in scores.items():
        session.add_all(
            ScoreRow(
                model_key=model_key,
                row_key=row_key,
                exact_match=score.exact_match,
                rouge_l=score.rouge_l,
                loss=score.loss,
                tokens=score.tokens,
            )
            for row_key, score in rows.items()
            if row_key not in known[model_key]
        )
