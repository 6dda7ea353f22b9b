"""The Ray task: every model of a request on one share of the holdout rows."""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace_evaluator.core.scores import RowScore, RowScores, Scored, ScoringRequest, model_key
from headrace_evaluator.scoring import answers, holdout
from headrace_events.references import ModelRef
from headrace_models import artefact
from headrace_models.loading import load_adapter, load_base, load_tokenizer, set_threads

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_LOG = logging.getLogger(__name__)


def run(request: ScoringRequest, share: int, shares: int, threads: int) -> Scored:
    """Score all models on every `shares`-th row, from number `share` on.

    Each base is loaded once and its adapters are put on it in turn.
    """
    logging.basicConfig(level=logging.INFO)
    set_threads(threads)
    sample = holdout.load(request.table, request.max_rows)
    rows = sample[share::shares]
    if not sample:
        raise holdout.HoldoutMissing(
            f"version {request.table.version} of {request.table.uri} has no holdout rows: "
            "raise spec.data.holdout or land more records"
        )
    by_base: defaultdict[str, list[ModelRef]] = defaultdict(list)
    for model in request.models:
        by_base[model.base].append(model)
    encoded: dict[str, list[answers.EncodedRow]] = {}
    tokenizers: dict[str, PreTrainedTokenizerBase] = {}
    for base in by_base:
        tokenizers[base] = load_tokenizer(base)
        encoded[base] = answers.encode(rows, tokenizers[base], request.asking)
    fitting = _fitting(encoded, request.asking.max_tokens)
    scored = Scored({}, skipped_rows=len(rows) - len(fitting), reused_rows=0)
    reused = 0
    for base, models in by_base.items():
        kept = [row for row in encoded[base] if row.row.key in fitting]
        found, known = _on_base(base, models, kept, tokenizers[base], request)
        scored.scores.update(found)
        reused += known
    ids = {row.key: row.record_id for row in rows if row.key in fitting}
    return Scored(scored.scores, scored.skipped_rows, reused, ids)


def _fitting(encoded: dict[str, list[answers.EncodedRow]], max_tokens: int) -> set[str]:
    """Return the keys of the rows that fit into every model's context."""
    from transformers import AutoConfig

    from headrace_models.reference import resolve

    keys: list[set[str]] = []
    for base, rows in encoded.items():
        config = AutoConfig.from_pretrained(str(resolve(base)))
        context = int(getattr(config, "max_position_embeddings", 0) or 0)
        keys.append({row.row.key for row in rows if answers.fits(row, context, max_tokens)})
    return set.intersection(*keys)


def _on_base(
    base: str,
    models: Sequence[ModelRef],
    rows: Sequence[answers.EncodedRow],
    tokenizer: "PreTrainedTokenizerBase",
    request: ScoringRequest,
) -> tuple[dict[str, RowScores], int]:
    loaded: PreTrainedModel | None = None
    scores: dict[str, RowScores] = {}
    reused = 0
    # The base itself first, while no adapter has touched its weights.
    for model in sorted(models, key=lambda m: m.artefact is not None):
        key = model_key(model, request.asking)
        known = dict(request.known.get(key, {}))
        missing = [row for row in rows if row.row.key not in known]
        reused += len(rows) - len(missing)
        if missing:
            loaded = loaded or load_base(base)
            found = _one_model(loaded, model, missing, tokenizer, request)
            known |= {row.row.key: s for row, s in zip(missing, found, strict=True)}
        scores[key] = {row.row.key: known[row.row.key] for row in rows}
    return scores, reused


def _one_model(
    base: "PreTrainedModel",
    model: ModelRef,
    rows: Sequence[answers.EncodedRow],
    tokenizer: "PreTrainedTokenizerBase",
    request: ScoringRequest,
) -> list[RowScore]:
    started = time.monotonic()

    def progress(what: str, done: int, of: int) -> None:
        seconds = time.monotonic() - started
        _LOG.info("version %s: %s %d/%d rows, %.1f s", model.version, what, done, of, seconds)

    if model.artefact is None:
        return answers.score(base, tokenizer, rows, request.asking, progress)
    import torch

    folder = artefact.fetch(model.artefact.uri, model.artefact.digest)
    tuned = load_adapter(base, folder)
    # Merged it runs as fast as the base. In bf16 merging rounds, so there it stays beside the base.
    merge = next(base.parameters()).dtype is torch.float32
    if merge:
        tuned.merge_adapter()
    try:
        return answers.score(tuned, tokenizer, rows, request.asking, progress)  # type: ignore[arg-type]
    finally:
        if merge:
            tuned.unmerge_adapter()
        tuned.unload()
