"""Scores per row: what the Ray task gives back, and what is kept."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headrace_events.references import ModelRef, TableRef
from headrace_events.workload import Evaluate

# Raise it when a metric changes, so that scores of the old kind are not mixed in.
_SCORES_VERSION = 1


@dataclass(frozen=True, slots=True)
class RowScore:
    """One model on one holdout row."""

    exact_match: float | None = None
    rouge_l: float | None = None
    loss: float | None = None
    """Summed negative log-likelihood (nats) of the completion and its end of turn."""
    tokens: int | None = None
    answer: str | None = field(default=None, repr=False, compare=False)
    """What the model said; None: it was not asked, or its score is from the cache."""


RowScores = dict[str, RowScore]
"""By row key, in the order of the keys."""


@dataclass(frozen=True)
class Asking:
    """What the models are asked, the same for each of them."""

    max_tokens: int
    system: str | None
    answers: bool
    """Generate and compare texts (exact match, ROUGE-L)."""
    likelihood: bool
    """Score the completion's tokens (perplexity)."""

    @classmethod
    def of(cls, evaluate: Evaluate, system: str | None) -> "Asking":
        """Derive it from a manifest."""
        return cls(
            max_tokens=evaluate.max_tokens,
            system=system,
            answers=bool({"exact_match", "rouge_l"} & set(evaluate.metrics)),
            likelihood="perplexity" in evaluate.metrics,
        )


@dataclass(frozen=True)
class ScoringRequest:
    """Work for one Ray task: score `models` on the same rows of `table`."""

    table: TableRef
    max_rows: int
    asking: Asking
    models: tuple[ModelRef, ...]
    known: Mapping[str, RowScores] = field(default_factory=dict)
    """By model key: rows that need not be scored again."""


@dataclass(frozen=True)
class Scored:
    """What a scoring gave."""

    scores: dict[str, RowScores]
    """By model key; the same rows in the same order for each."""
    skipped_rows: int = 0
    """Rows that do not fit into the model's context."""
    reused_rows: int = 0
    """Scores that were known already, over all models."""
    rows: dict[str, str] = field(default_factory=dict)
    """By row key: the row's id in the dataset version."""


def join(shares: Sequence[Scored]) -> Scored:
    """Put together what several tasks scored, each on its share of the rows."""
    scores: defaultdict[str, RowScores] = defaultdict(dict)
    for share in shares:
        for model, rows in share.scores.items():
            scores[model] |= rows
    return Scored(
        scores={model: dict(sorted(rows.items())) for model, rows in scores.items()},
        skipped_rows=sum(share.skipped_rows for share in shares),
        reused_rows=sum(share.reused_rows for share in shares),
        rows={key: row for share in shares for key, row in share.rows.items()},
    )


def model_key(model: ModelRef, asking: Asking) -> str:
    """Name a model and what it is asked: equal keys have equal scores on equal rows."""
    digest = model.artefact.digest if model.artefact else "base"
    told = [_SCORES_VERSION, model.base, digest, asking.max_tokens, asking.system]
    told += [asking.answers, asking.likelihood]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def row_key(prompt: str, completion: str) -> str:
    """Name a row by its content: the same row in another dataset version has the same key."""
    return hashlib.sha256(json.dumps([prompt, completion]).encode()).hexdigest()
