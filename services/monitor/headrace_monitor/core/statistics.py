"""The few statistics that judging needs; every interval is one-sided."""

import math
import random
from collections.abc import Sequence
from statistics import NormalDist, fmean, variance

_BOOTSTRAPS = 400


def wilson(successes: int, trials: int, z: float) -> tuple[float, float]:
    """Return Wilson's score bounds of a proportion (Wilson 1927), lower and upper at `z`."""
    if not trials:
        return 0.0, 1.0
    p = successes / trials
    scale = 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def difference_of_rates(
    candidate: tuple[int, int], incumbent: tuple[int, int], confidence: float
) -> tuple[float, float, float]:
    """Return candidate - incumbent with lower and upper bound, each at one-sided `confidence`.

    Newcombe's hybrid score interval (Statistics in Medicine 1998, method 10): Wilson's bounds of
    the two rates combined; holds its level for few requests and for rates near 0.
    """
    z = NormalDist().inv_cdf(confidence)
    p1, p2 = _rate(*candidate), _rate(*incumbent)
    low1, high1 = wilson(*candidate, z)
    low2, high2 = wilson(*incumbent, z)
    difference = p1 - p2
    return (
        difference,
        difference - math.hypot(p1 - low1, high2 - p2),
        difference + math.hypot(high1 - p1, p2 - low2),
    )


def _rate(successes: int, trials: int) -> float:
    return successes / trials if trials else 0.0


def percentile(ordered: Sequence[float], q: float) -> float:
    """Return the q-quantile of sorted values, interpolated (type 7, NumPy's default)."""
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def lower_bound_of_p95_ratio(
    candidate: Sequence[float], incumbent: Sequence[float], confidence: float
) -> float:
    """Return the lower percentile-bootstrap bound of p95(candidate) / p95(incumbent).

    Seeded: the same requests are always judged alike.
    """
    dice = random.Random(7)  # noqa: S311 - resampling, not cryptography
    ratios = sorted(
        _resampled_p95(candidate, dice) / max(_resampled_p95(incumbent, dice), 1e-9)
        for _ in range(_BOOTSTRAPS)
    )
    return percentile(ratios, 1 - confidence)


def _resampled_p95(values: Sequence[float], dice: random.Random) -> float:
    return percentile(sorted(dice.choices(values, k=len(values))), 0.95)


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
