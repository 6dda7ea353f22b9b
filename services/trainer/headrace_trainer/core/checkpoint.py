"""Checkpoints: adapter, optimizer, random state and counters, in one folder."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from headrace_trainer.core.loop import Loop, State

if TYPE_CHECKING:
    from peft import PeftModel

_TRAINING = "training.pt"
ADAPTER = "adapter"


def save(folder: Path, model: "PeftModel", loop: Loop) -> None:
    """Write a checkpoint into an empty folder."""
    import torch

    model.save_pretrained(str(folder / ADAPTER))
    torch.save(
        {
            "state": asdict(loop.state),
            "optimizer": loop.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        },
        folder / _TRAINING,
    )


def load(folder: Path, model: "PeftModel", loop: Loop) -> None:
    """Bring model and loop to where the checkpoint stood."""
    import torch
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    weights = load_file(folder / ADAPTER / "adapter_model.safetensors")
    set_peft_model_state_dict(model, weights)
    saved = torch.load(folder / _TRAINING, weights_only=True)
    torch.set_rng_state(saved["random"])
    loop.resume(State(**saved["state"]), saved["optimizer"])
