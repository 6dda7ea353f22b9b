"""The decoder and the output head inside a causal language model, adapters included."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


def decoder_and_head(model: "PreTrainedModel") -> tuple["nn.Module", "nn.Module"]:
    """The two parts whose composition is the model; adapters sit inside the decoder."""
    from peft import PeftModel

    causal = model.get_base_model() if isinstance(model, PeftModel) else model
    decoder, head = getattr(causal, "model", None), getattr(causal, "lm_head", None)
    if decoder is None or head is None:
        raise ValueError(
            f"{type(causal).__name__} is not laid out as decoder and head: "
            "use a decoder-only causal language model"
        )
    return decoder, head
