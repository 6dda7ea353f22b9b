"""Score intervals for the difference of two paired proportions (Tango 1998).

Two models answer the same rows, each right or wrong. Rows on which both are right or both are wrong
say nothing about the difference but how many rows there are. The interval holds every difference
that a score test does not reject. Unlike a resampled one it does not shrink to a point where the
models agree on every row: 100 rows without disagreement still allow a loss of 4.4 points (95 %).

Tango's statistic is approximate: at 95 % it lets up to 11 % of candidates pass that are just too
bad (5 rows, models that differ in all of them). The correction for continuity, one row, keeps it at
or below 5 %: counted out exactly in the tests, over sizes, differences and rates of disagreement.

Tango, T. (1998): Equivalence test and confidence interval for the difference in proportions for the
paired-sample design. Statistics in Medicine 17, 891-908; equations 11 and 12.
"""

import math
from statistics import NormalDist

_CONTINUITY = 1.0  # rows; won - lost moves in steps of one or two
_BISECTIONS = 60  # 2 / 2^60 is below what a float tells apart


def lower(won: int, lost: int, rows: int, confidence: float) -> float:
    """Return the bound that the true difference exceeds with one-sided probability `confidence`.

    `won` are the rows that only ours has right, `lost` those that only the other has right, of
    `rows` in all (at least 1). The result is in [-1, 1].
    """
    z = NormalDist().inv_cdf(confidence)
    low, high = -1.0, (won - lost) / rows
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _score(won, lost, rows, middle) > z:
            low = middle
        else:
            high = middle
    return low


def upper(won: int, lost: int, rows: int, confidence: float) -> float:
    """Return the bound that the true difference stays below with probability `confidence`."""
    return -lower(lost, won, rows, confidence)


def _score(won: int, lost: int, rows: int, delta: float) -> float:
    """Return the score statistic of the hypothesis that the true difference is `delta`."""
    distance = max(0.0, won - lost - rows * delta - _CONTINUITY)
    # The share of `lost` that is likeliest under the hypothesis: the root of a x^2 + b x + c.
    a = 2 * rows
    b = -won - lost + (2 * rows - won + lost) * delta
    c = -lost * delta * (1 - delta)
    share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = rows * (2 * share + delta * (1 - delta))
    if variance <= 0:
        return math.inf if distance else 0.0
    return distance / math.sqrt(variance)
