"""One loaded model on holdout rows: answers compared, completions scored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from headrace_evaluator.core.rouge import rouge_l
from headrace_evaluator.core.scores import Asking, RowScore
from headrace_evaluator.core.text import exact_match
from headrace_evaluator.scoring.holdout import HoldoutRow
from headrace_models.chat import EncodedExample, encode_example, question, render_ids
from headrace_models.generation import GenerationRequest, generate
from headrace_models.scoring import answer_losses

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

GENERATION_BATCH = 64
"""Rows generated together: more are no faster on few cores and need more memory."""
LIKELIHOOD_BATCH = 8
"""Rows scored together: logits over the vocabulary are the largest thing in memory."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class EncodedRow:
    """A row as token ids."""

    row: HoldoutRow
    prompt_ids: list[int] = field(repr=False)
    example: EncodedExample = field(repr=False)


def encode(
    rows: Sequence[HoldoutRow], tokenizer: "PreTrainedTokenizerBase", asking: Asking
) -> list[EncodedRow]:
    """Encode the rows as production asks: the manifest's system message first, if there is one."""
    return [
        EncodedRow(
            row,
            render_ids(question(row.prompt, asking.system), tokenizer),
            encode_example(row.prompt, row.completion, tokenizer, asking.system),
        )
        for row in rows
    ]


def fits(row: EncodedRow, context: int, max_tokens: int) -> bool:
    """Whether prompt and answer fit into the model's context (0: unlimited)."""
    needed = max(len(row.prompt_ids) + max_tokens, len(row.example.ids))
    return not context or needed <= context


def score(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    rows: Sequence[EncodedRow],
    asking: Asking,
    progress: Progress,
) -> list[RowScore]:
    """Score the rows, in their order."""
    scores = [RowScore()] * len(rows)
    if asking.answers:
        scores = _answers(model, tokenizer, rows, asking.max_tokens, progress)
    if asking.likelihood:
        pad = tokenizer.pad_token_id or 0
        examples = [row.example for row in rows]
        losses = answer_losses(model, examples, pad, LIKELIHOOD_BATCH)
        progress("likelihood", len(rows), len(rows))
        pairs = zip(scores, losses, strict=True)
        scores = [replace(s, loss=loss, tokens=count) for s, (loss, count) in pairs]
    return scores


def _answers(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    rows: Sequence[EncodedRow],
    max_tokens: int,
    progress: Progress,
) -> list[RowScore]:
    scores: list[RowScore] = [RowScore()] * len(rows)
    # Prompts of like length together: little padding.
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].prompt_ids))
    for start in range(0, len(order), GENERATION_BATCH):
        chosen = order[start : start + GENERATION_BATCH]
        requests = [GenerationRequest(rows[i].prompt_ids, max_tokens) for i in chosen]
        for index, answer in zip(chosen, generate(model, tokenizer, requests), strict=True):
            expected = rows[index].row.completion
            scores[index] = RowScore(
                exact_match=exact_match(answer.text, expected),
                rouge_l=rouge_l(answer.text, expected),
                answer=answer.text,
            )
        progress("answers", start + len(chosen), len(order))
    return scores
