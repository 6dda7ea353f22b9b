"""Log-likelihood of answers under a model: the loss in training, perplexity in evaluation.

The vocabulary is by far the widest matrix of a small model, so logits are computed only at the
positions that have a label, not over prompt and padding.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace_models.chat import IGNORED, EncodedExample

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def collate(examples: Sequence[EncodedExample], pad: int) -> dict[str, "torch.Tensor"]:
    """Right-padded `input_ids`, `attention_mask` and `labels`, each rows x longest."""
    import torch

    longest = max(len(example.ids) for example in examples)
    shape = (len(examples), longest)
    ids, labels = torch.full(shape, pad), torch.full(shape, IGNORED)
    mask = torch.zeros(shape, dtype=torch.long)
    for row, example in enumerate(examples):
        length = len(example.ids)
        ids[row, :length] = torch.tensor(example.ids)
        labels[row, :length] = torch.tensor(example.labels)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def token_losses(
    model: "PreTrainedModel", batch: dict[str, "torch.Tensor"]
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Negative log-likelihood of each labelled token, and the row that each belongs to."""
    import torch

    from headrace_models.unwrap import decoder_and_head

    decoder, head = decoder_and_head(model)
    hidden = decoder(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
    ).last_hidden_state
    targets = batch["labels"][:, 1:]
    wanted = targets != IGNORED
    logits = head(hidden[:, :-1][wanted]).float()
    losses = torch.nn.functional.cross_entropy(logits, targets[wanted], reduction="none")
    return losses, wanted.nonzero()[:, 0]


def answer_losses(
    model: "PreTrainedModel", examples: Sequence[EncodedExample], pad: int, batch_size: int = 32
) -> list[tuple[float, int]]:
    """Per example the summed negative log-likelihood (nats) of its answer and its token count.

    Perplexity of a set is `exp(sum of losses / sum of tokens)`.
    """
    import torch

    device = model.device
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].ids))
    results: list[tuple[float, int]] = [(0.0, 0)] * len(examples)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = collate([examples[index] for index in chosen], pad)
        with torch.inference_mode():
            losses, rows = token_losses(model, {k: v.to(device) for k, v in batch.items()})
        for row, index in enumerate(chosen):
            own = losses[rows == row]
            results[index] = (float(own.double().sum()), int(own.numel()))
    return results
