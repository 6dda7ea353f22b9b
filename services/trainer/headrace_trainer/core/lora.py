"""The adapter: which matrices of the base learn."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

# All linear maps of a block: on a model this small the MLP is where facts are learnt.
_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def add_adapter(
    base: "PreTrainedModel",
    rank: int,
    seed: int,
) -> "PeftModel":
    """Freeze `base` and put a trainable LoRA on it."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=_TARGETS,
    )
    return get_peft_model(base, config)
