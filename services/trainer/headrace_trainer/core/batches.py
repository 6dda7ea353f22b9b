"""Rows -> batches of similar length, the same for the same seed.

A batch is padded to its longest row, so mixing short and long rows would mostly compute padding.
"""

import random
from collections.abc import Iterator, Sequence

# Rows are sorted by length within pools of this many batches: wide enough to save most padding,
# narrow enough that batches stay mixed.
_POOL = 16


def epoch_batches(
    lengths: Sequence[int], batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """The row numbers of each batch of one epoch; each row comes exactly once."""
    order = list(range(len(lengths)))
    # Only an order of rows is drawn, nothing secret. A string seed is hashed the same everywhere.
    chooser = random.Random(f"{seed}/{epoch}")  # noqa: S311
    chooser.shuffle(order)
    pool = batch_size * _POOL
    batches = []
    for start in range(0, len(order), pool):
        by_length = sorted(order[start : start + pool], key=lambda row: lengths[row])
        batches += [by_length[at : at + batch_size] for at in range(0, len(by_length), batch_size)]
    chooser.shuffle(batches)
    return batches


def batches(lengths: Sequence[int], batch_size: int, seed: int) -> Iterator[list[int]]:
    """Batches for ever, epoch after epoch."""
    epoch = 0
    while lengths:
        yield from epoch_batches(lengths, batch_size, seed, epoch)
        epoch += 1
