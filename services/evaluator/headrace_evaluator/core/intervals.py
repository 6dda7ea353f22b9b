"""Paired bootstrap intervals (Efron & Tibshirani 1993, chapters 13 and 14)."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = tuple[NDArray[np.float64], ...]
"""Columns of equal length: one row is what is drawn together."""

Statistic = Callable[..., Any]
"""Called with the columns and `axis`, returns one value per resample."""

RESAMPLES = 5000
# Resamples held in memory at once: this many numbers, 32 MiB.
_BATCH_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Interval:
    """Bounds of a statistic."""

    low: float
    high: float


def two_sided(samples: Samples, statistic: Statistic, confidence: float, seed: int = 0) -> Interval:
    """Return the interval that covers the true value with probability `confidence`."""
    return _bootstrap(samples, statistic, confidence, seed, "two-sided")


def lower_bound(samples: Samples, statistic: Statistic, confidence: float, seed: int = 0) -> float:
    """Return the bound that the true value exceeds with probability `confidence`."""
    return _bootstrap(samples, statistic, confidence, seed, "greater").low


def _bootstrap(
    samples: Samples, statistic: Statistic, confidence: float, seed: int, alternative: str
) -> Interval:
    """BCa where it is defined, else percentile; the same seed gives the same bounds."""
    from scipy import stats  # a second to import: not at the start of the service

    rows = len(samples[0])
    if all(np.all(column == column[0]) for column in samples):
        value = float(statistic(*samples, axis=-1))
        return Interval(value, value)
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            # BCa has no acceleration when all leave-one-out values agree: seen as NaN below.
            warnings.simplefilter("ignore")
            found = stats.bootstrap(
                samples,
                statistic,
                paired=True,
                vectorized=True,
                n_resamples=RESAMPLES,
                batch=max(1, _BATCH_NUMBERS // rows),
                confidence_level=confidence,
                alternative=alternative,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        interval = Interval(float(found.low), float(found.high))
        if np.isfinite(interval.low):
            return interval
    return interval
