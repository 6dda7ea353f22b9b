"""What judging needs besides the score intervals of `headrace_events.canary_evidence`."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, variance


def percentile(ordered: Sequence[float], q: float) -> float:
    """Return the q-quantile of sorted values, interpolated (type 7, NumPy's default)."""
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def upper_bound_of_mean_difference(
    candidate: Sequence[float], incumbent: Sequence[float], confidence: float
) -> float:
    """Return the upper bound of mean(candidate) - mean(incumbent): Welch's t, unequal variances.

    The t quantile is Cornish and Fisher's expansion around the normal one (good from 5 degrees
    of freedom on). Needs two values on each side.
    """
    n1, n2 = len(candidate), len(incumbent)
    v1, v2 = variance(candidate) / n1, variance(incumbent) / n2
    difference = fmean(candidate) - fmean(incumbent)
    if v1 + v2 == 0:
        return difference
    freedom = (v1 + v2) ** 2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1))
    z = NormalDist().inv_cdf(confidence)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return difference + t * math.sqrt(v1 + v2)
