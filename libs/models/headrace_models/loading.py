"""Base models, tokenizers and adapters, loaded for the hardware that is there."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from headrace_models.errors import ArtefactError
from headrace_models.reference import resolve

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Dtype = Literal["auto", "float32", "bfloat16"]


def load_tokenizer(reference: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model reference."""
    from transformers import AutoTokenizer

    tokenizer = cast(
        "PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(str(resolve(reference)))
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(reference: str, dtype: Dtype = "auto") -> "PreTrainedModel":
    """The base model in evaluation mode, on the GPU if there is one."""
    import torch
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(
        str(resolve(reference)), dtype=choose_dtype(dtype), attn_implementation="sdpa"
    )
    model = cast("PreTrainedModel", loaded)
    model.to("cuda" if torch.cuda.is_available() else "cpu")  # type: ignore[arg-type]
    model.train(False)
    return model


def load_adapter(
    base: "PreTrainedModel | PeftModel", path: Path | str, name: str = "default"
) -> "PeftModel":
    """Put the adapter in `path` on `base`, active, in the base's dtype.

    A base that carries adapters already gets one more, under its own `name`.
    """
    from peft import PeftModel

    folder = str(path)
    if not (Path(path) / "adapter_config.json").is_file():
        raise ArtefactError(f"{folder} holds no adapter: adapter_config.json is missing")
    # peft keeps adapters in fp32 by default, and on a bf16 base that is many times slower.
    if isinstance(base, PeftModel):
        base.load_adapter(folder, adapter_name=name, autocast_adapter_dtype=False)
        base.set_adapter(name)
        model = base
    else:
        model = PeftModel.from_pretrained(
            base, folder, adapter_name=name, autocast_adapter_dtype=False
        )
    dtype = next(model.parameters()).dtype
    for parameter_name, parameter in model.named_parameters():
        if f".{name}." in parameter_name:
            parameter.data = parameter.data.to(dtype)
    model.eval()
    return model


def choose_dtype(dtype: Dtype = "auto") -> "torch.dtype":
    """bf16 only where the hardware computes in it: elsewhere it is emulated and slow."""
    import torch

    if dtype != "auto":
        return torch.float32 if dtype == "float32" else torch.bfloat16
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    native = capability.get("amx_bf16") or capability.get("avx512_bf16")
    return torch.bfloat16 if native else torch.float32


def set_threads(threads: int | None = None) -> int:
    """Give torch `threads` threads, else what OMP_NUM_THREADS says, else one.

    One is the default because many processes share few cores here: two threads that wait for
    each other on a busy core were measured 10 to 30 times slower than one at batch 1.
    """
    import torch

    chosen = threads or int(os.environ.get("OMP_NUM_THREADS") or 1)
    torch.set_num_threads(chosen)
    return chosen
