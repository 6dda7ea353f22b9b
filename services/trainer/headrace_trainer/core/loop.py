"""The loop: from the last checkpoint to the planned step, or to the end of the time given."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, cast

from headrace_models.chat import EncodedExample
from headrace_models.scoring import collate, token_losses
from headrace_trainer.core.batches import batches
from headrace_trainer.core.plan import Plan
from headrace_trainer.core.specification import Progress

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

_CLIP_NORM = 1.0
_LOSSES_IN_A_REPORT = 10


@dataclass
class State:
    """What a checkpoint holds beside the adapter's weights."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = float("nan")
    losses: list[float] = field(default_factory=list)


class Loop:
    """One worker's share of a training; all workers take the same steps."""

    def __init__(
        self,
        model: "PeftModel",
        examples: Sequence[EncodedExample],
        plan: Plan,
        *,
        pad: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        import torch

        self._model = model
        self._examples = examples
        self._plan = plan
        self._pad = pad
        self._rank, self._world = rank, world
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        # The fused form is deterministic and spares a pass over the parameters.
        self.optimizer = torch.optim.AdamW(
            self._parameters, lr=plan.learning_rate, weight_decay=0.0, fused=True
        )
        self.state = State()
        self._resumed_at = 0

    def resume(self, state: State, optimizer: dict[str, object]) -> None:
        """Go on from a checkpoint."""
        self.state = state
        self._resumed_at = state.step
        self.optimizer.load_state_dict(optimizer)

    def run(
        self,
        max_seconds: float,
        on_step: Callable[[Progress], None],
        checkpoint_every: int,
        on_checkpoint: Callable[[], None],
    ) -> bool:
        """Train; return whether the time ran out before the planned steps were done."""
        lengths = [len(example.ids) for example in self._examples]
        plan = self._plan
        # Batches are a function of the seed: skipping the done ones costs no computing.
        coming = islice(
            batches(lengths, plan.batch_size * self._world, plan.seed), self.state.step, None
        )
        self._model.train()
        before = self.state.seconds
        begun = time.perf_counter()
        for rows in coming:
            if self.state.step >= plan.steps:
                return False
            if self.state.seconds >= max_seconds:
                return True
            self._step(rows)
            self.state.seconds = before + time.perf_counter() - begun
            on_step(self._progress())
            if self.state.step % checkpoint_every == 0 and self.state.step < plan.steps:
                on_checkpoint()
        return False

    def _step(self, rows: Sequence[int]) -> None:
        import torch

        mine = rows[self._rank :: self._world] or rows[:1]
        chosen = [self._examples[row] for row in mine]
        device = self._parameters[0].device
        batch = {k: v.to(device) for k, v in collate(chosen, self._pad).items()}
        for group in self.optimizer.param_groups:
            group["lr"] = self._plan.learning_rate_at(self.state.step)
        losses, _ = token_losses(cast("PreTrainedModel", self._model), batch)
        loss = losses.mean()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        self._share_gradients()
        torch.nn.utils.clip_grad_norm_(self._parameters, _CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        state = self.state
        state.step += 1
        state.tokens += sum(len(self._examples[row].ids) for row in rows)
        state.losses = [*state.losses, float(loss.detach())][-_LOSSES_IN_A_REPORT:]
        state.loss = sum(state.losses) / len(state.losses)

    def _share_gradients(self) -> None:
        """Average the adapters' gradients: they are few, so one flat message is enough."""
        if self._world == 1:
            return
        import torch

        flat = torch.cat([p.grad.reshape(-1) for p in self._parameters if p.grad is not None])
        torch.distributed.all_reduce(flat)
        flat /= self._world
        start = 0
        for parameter in self._parameters:
            if parameter.grad is not None:
                size = parameter.grad.numel()
                parameter.grad.copy_(flat[start : start + size].view_as(parameter.grad))
                start += size

    def _progress(self) -> Progress:
        state = self.state
        return Progress(
            step=state.step,
            steps=self._plan.steps,
            loss=state.loss,
            learning_rate=self._plan.learning_rate_at(state.step - 1),
            tokens=state.tokens,
            tokens_per_second=state.tokens / max(state.seconds, 1e-9),
            resumed_at_step=self._resumed_at,
        )
