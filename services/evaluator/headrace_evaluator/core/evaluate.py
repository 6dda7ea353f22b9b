"""The use case: score the models that an order names, and judge."""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from headrace_evaluator.core.order import Order
from headrace_evaluator.core.scores import Asking, RowScores, Scored, ScoringRequest, model_key
from headrace_events.evaluation import EvaluationCompleted
from headrace_events.workload import Manifest


class Scorer(Protocol):
    """Scores models on rows, somewhere with the cores for it."""

    async def score(self, request: ScoringRequest) -> Scored:
        """Return the scores; raises ScoringRefused when no attempt can ever succeed."""


class ScoringRefused(Exception):
    """The scoring can never succeed; the message says what was wrong and what to do."""


class ScoringFailed(Exception):
    """The scoring broke off; another attempt may succeed. The message quotes no text."""


@dataclass(frozen=True)
class Evaluation:
    """A verdict, and the scores behind it (by model key)."""

    completed: EvaluationCompleted
    scored: Scored


def request_for(
    order: Order, manifest: Manifest, known: dict[str, RowScores] | None = None
) -> ScoringRequest:
    """Return what has to be scored for an order."""
    spec = manifest.spec
    return ScoringRequest(
        table=order.dataset.table,
        max_rows=spec.evaluate.max_rows,
        asking=Asking.of(spec.evaluate, spec.system),
        models=order.models(spec.evaluate),
        known=known or {},
    )


async def evaluate(
    order: Order, manifest: Manifest, request: ScoringRequest, scorer: Scorer
) -> Evaluation:
    """Score and judge."""
    from headrace_evaluator.core.verdict import judge  # numpy: not at the start of the service

    started = time.monotonic()
    scored = await scorer.score(request)
    scores = {
        model: scored.scores[key]
        for model in request.models
        if (key := model_key(model, request.asking)) in scored.scores
    }
    seconds = time.monotonic() - started
    # Thousands of resamples of all rows: long enough to stall the event loop.
    completed = await asyncio.to_thread(judge, order, manifest.spec.evaluate, scores, seconds)
    return Evaluation(completed, scored)
