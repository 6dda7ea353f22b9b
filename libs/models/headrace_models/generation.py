"""Batched generation with a KV cache: greedy or sampled, whole or streamed.

A static batch with left padding; a row leaves the batch when it ends, so the rest runs faster.
Each row samples with its own random numbers, so an answer does not depend on its neighbours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from headrace_models.chat import stop_ids
from headrace_models.errors import PromptTooLongError
from headrace_models.sampling import GREEDY, Sampling, next_tokens
from headrace_models.streaming_text import TextStream

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt (token ids, see `chat.render_ids`) and how to answer it."""

    prompt_ids: Sequence[int]
    max_tokens: int = 256
    sampling: Sampling = GREEDY
    stop: tuple[str, ...] = ()  # texts that end the answer and are not part of it


@dataclass(frozen=True)
class Delta:
    """New text of one row; the last one of a row carries why it ended."""

    row: int
    text: str
    tokens: int  # answer tokens so far, without the end of turn
    finish_reason: FinishReason | None = None


@dataclass(frozen=True)
class Generation:
    """A whole answer."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: FinishReason


def generate(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    requests: Sequence[GenerationRequest],
) -> list[Generation]:
    """Answer all requests as one batch, in their order."""
    texts = [""] * len(requests)
    ends: dict[int, Delta] = {}
    for delta in stream(model, tokenizer, requests):
        texts[delta.row] += delta.text
        if delta.finish_reason:
            ends[delta.row] = delta
    return [
        Generation(
            texts[row],
            len(request.prompt_ids),
            ends[row].tokens,
            ends[row].finish_reason or "stop",
        )
        for row, request in enumerate(requests)
    ]


def stream(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    requests: Sequence[GenerationRequest],
) -> Iterator[Delta]:
    """Answer all requests as one batch, giving text as it comes. Close the iterator to cancel.

    Raises PromptTooLongError before anything is computed.
    """
    if not requests:
        return
    check_lengths(model, requests)
    import torch

    device = model.device
    ends = stop_ids(tokenizer)
    texts = [TextStream(tokenizer, request.stop) for request in requests]
    randoms = [request.sampling.random() for request in requests]
    rows = list(range(len(requests)))
    ids, mask = _left_padded(requests, tokenizer.pad_token_id or 0)
    ids, mask = ids.to(device), mask.to(device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = None
    while rows:
        # Not held over the yield: a consumer may train, or run in another thread's context.
        with torch.inference_mode():
            out = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            logits = out.logits[:, -1].float()
            tokens = next_tokens(
                logits, [requests[row].sampling for row in rows], [randoms[row] for row in rows]
            )
        alive: list[int] = []
        for index, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            delta = _advance(row, token, requests[row], texts[row], ends)
            if delta.finish_reason is None:
                alive.append(index)
            if delta.text or delta.finish_reason:
                yield delta
        rows = [rows[index] for index in alive]
        if not rows:
            return
        with torch.inference_mode():
            if len(alive) < len(tokens):
                keep = torch.tensor(alive, device=device)
                cache.batch_select_indices(keep)
                mask, positions = mask[keep], positions[keep]
            ids = torch.tensor([[tokens[index]] for index in alive], device=device)
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            positions = positions[:, -1:] + 1


def check_lengths(model: "PreTrainedModel", requests: Sequence[GenerationRequest]) -> None:
    """Raise PromptTooLongError when a prompt and its answer do not fit into the context."""
    limit = int(getattr(model.config, "max_position_embeddings", 0) or 0)
    for request in requests:
        if not request.prompt_ids or request.max_tokens < 1:
            raise ValueError("a request needs at least one prompt token and max_tokens >= 1")
        if limit and len(request.prompt_ids) + request.max_tokens > limit:
            raise PromptTooLongError(
                f"prompt of {len(request.prompt_ids)} tokens and max_tokens {request.max_tokens} "
                f"exceed the model's context of {limit} tokens: shorten the prompt or the answer"
            )


def _advance(
    row: int, token: int, request: GenerationRequest, text: TextStream, ends: frozenset[int]
) -> Delta:
    """Take one token into a row's text and tell what came out."""
    if token in ends:
        return Delta(row, text.finish(), text.tokens, "stop")
    new = text.push(token)
    if text.stopped:
        return Delta(row, new, text.tokens, "stop")
    if text.tokens >= request.max_tokens:
        return Delta(row, new + text.finish(), text.tokens, "length")
    return Delta(row, new, text.tokens)


def _left_padded(
    requests: Sequence[GenerationRequest], pad: int
) -> tuple["torch.Tensor", "torch.Tensor"]:
    import torch

    longest = max(len(request.prompt_ids) for request in requests)
    ids = torch.full((len(requests), longest), pad)
    mask = torch.zeros((len(requests), longest), dtype=torch.long)
    for row, request in enumerate(requests):
        ids[row, longest - len(request.prompt_ids) :] = torch.tensor(list(request.prompt_ids))
        mask[row, longest - len(request.prompt_ids) :] = 1
    return ids, mask
