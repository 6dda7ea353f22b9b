"""GGUF file -> Hugging Face folder. Slow (it de-quantises), so it is done once and cached."""

from pathlib import Path

from headrace_models.chat import CHATML_TEMPLATE, is_chatml


def convert(gguf: Path, folder: Path) -> None:
    """Write the model of `gguf` as safetensors, with config and tokenizer, into `folder`.

    transformers refuses `save_pretrained` on a model that came from GGUF (it counts as
    quantised), so the parts are written one by one.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32
    )
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    unique = {tensor.data_ptr(): name for name, tensor in reversed(model.state_dict().items())}
    weights = {name: model.state_dict()[name].contiguous() for name in unique.values()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    if is_chatml(tokenizer):
        # The template in the file puts a default system prompt before each conversation.
        tokenizer.chat_template = CHATML_TEMPLATE
    tokenizer.save_pretrained(folder)
