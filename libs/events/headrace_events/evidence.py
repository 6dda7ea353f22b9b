"""What a number of rows can show at best, before anything is measured.

Two models that agree on every row are the best case for a gate that allows a small loss. Even then
the evaluation's bound is below zero, by what rows that nobody looked at may hold.
"""

import math
from statistics import NormalDist


def least_loss(rows: int, confidence: float) -> float:
    """Return the smallest loss that `rows` rows can exclude, as a share (0.05: five points).

    The bound of the evaluator's score test with its correction of one row, for rows without any
    disagreement: the larger root x of (n x - 1)^2 = z^2 n x (1 - x), at most 1.
    """
    if rows < 1:
        return 1.0
    z2 = NormalDist().inv_cdf(confidence) ** 2
    middle = 2 + z2
    root = math.sqrt(middle**2 - 4 * (1 + z2 / rows))
    return min(1.0, (middle + root) / (2 * (rows + z2)))


def rows_for(loss: float, confidence: float) -> int:
    """Return how many rows can exclude a loss; raises ValueError unless 0 < loss <= 1.

    From the same equation, which is one of second order in the root of the rows.
    """
    if not 0 < loss <= 1:
        raise ValueError("a loss is a share above 0 and at most 1")
    z = NormalDist().inv_cdf(confidence)
    spread = z * math.sqrt(loss * (1 - loss))
    root = (spread + math.sqrt(spread**2 + 4 * loss)) / (2 * loss)
    return math.ceil(root**2)
