"""The choice of the next token, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Below it the most likely token is the only one, and the first of several (bf16 logits are often
# equal); dividing by it would leave what a float can hold.
_COLDEST = 1e-6


@dataclass(frozen=True)
class Sampling:
    """Greedy at temperature 0 or next to it, else nucleus sampling. Seed 0 is like any other."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def random(self) -> "torch.Generator | None":
        """The row's own random numbers; None when it needs none."""
        if self.temperature < _COLDEST:
            return None
        import torch

        generator = torch.Generator()
        if self.seed is None:
            generator.seed()
        else:
            generator.manual_seed(self.seed)
        return generator


GREEDY = Sampling()


def next_tokens(
    logits: "torch.Tensor",
    samplings: Sequence[Sampling],
    randoms: Sequence["torch.Generator | None"],
) -> list[int]:
    """One token id per row of `logits` (rows x vocabulary)."""
    chosen: list[int] = logits.argmax(-1).tolist()
    for row, (sampling, random) in enumerate(zip(samplings, randoms, strict=True)):
        if random is not None:
            chosen[row] = _sample(logits[row].cpu(), sampling, random)
    return chosen


def _sample(logits: "torch.Tensor", sampling: Sampling, random: "torch.Generator") -> int:
    import torch

    # Distances from the most likely one are never above 0: no temperature makes an infinity of them
    # that is not a number next, and fails the batch of everybody else.
    scaled = (logits - logits.max()) / sampling.temperature
    probabilities, order = scaled.softmax(-1).sort(descending=True)
    # Keep the smallest set that reaches top_p; the most likely token always stays.
    outside = probabilities.cumsum(-1) - probabilities >= sampling.top_p
    outside[0] = False
    probabilities = probabilities.masked_fill(outside, 0.0)
    return int(order[torch.multinomial(probabilities, 1, generator=random)])
