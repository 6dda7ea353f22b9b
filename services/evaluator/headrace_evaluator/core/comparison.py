"""Candidate against another model on the same rows, one metric at a time."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headrace_evaluator.core import paired
from headrace_evaluator.core.intervals import (
    Interval,
    Samples,
    Statistic,
    lower_bound,
    two_sided,
)
from headrace_evaluator.core.scores import RowScore, RowScores
from headrace_events.evaluation import MetricResult
from headrace_events.workload import Metric

MIN_ROWS = 2
MIN_DIFFERING = 10
"""Rows on which the models must differ before resampling them says anything: with fewer, most
resamples hold none of them, and what resampling never saw it calls impossible."""

Kind = Literal["binary", "bounded", "ratio"]
_KINDS: Mapping[Metric, Kind] = {
    "exact_match": "binary",
    "rouge_l": "bounded",
    "perplexity": "ratio",
}
"""binary: a row is right or wrong; bounded: a row's score is in [0, 1]; ratio: without a bound."""


class NotMeasured(Exception):
    """The metric has no value; the message says why. A gate on it stays shut."""


@dataclass(frozen=True)
class Comparison:
    """Paired results of one metric.

    `difference` is candidate minus the other model. For perplexity it is relative to the other
    model's: -0.2 is a perplexity that is 20 % lower.
    """

    metric: Metric
    candidate: float
    other: float
    difference: float
    rows: int
    samples: Samples

    def result(self, confidence: float) -> MetricResult:
        """Return the metric with a two-sided interval of the difference."""
        if self._is_counted:
            interval = self._counted((1 + confidence) / 2)
        else:
            interval = two_sided(self.samples, _STATISTICS[self.metric], confidence)
        if not math.isfinite(interval.low + interval.high):
            raise NotMeasured(f"{self.metric}: its interval is not a finite number")
        return MetricResult(
            metric=self.metric,
            candidate=self.candidate,
            incumbent=self.other,
            difference=self.difference,
            low=interval.low,
            high=interval.high,
            confidence=confidence,
            rows=self.rows,
        )

    def improvement_bound(self, confidence: float) -> float:
        """Return the one-sided lower bound of how much better the candidate is (may be < 0).

        Raises NotMeasured for a metric without a bound of its own where too few rows differ.
        """
        if self._is_counted:
            return self._counted(confidence).low
        if self._differing < MIN_DIFFERING:
            raise NotMeasured(
                f"{self.metric}: the models differ on {self._differing} of {self.rows} rows, "
                f"needed are {MIN_DIFFERING} or more"
            )
        return lower_bound(self.samples, _IMPROVEMENTS[self.metric], confidence)

    @property
    def _differing(self) -> int:
        """Rows on which the two models do not have the same score."""
        if _KINDS[self.metric] == "ratio":
            return int((self.samples[0] != self.samples[1]).sum())
        return int((self.samples[0] != 0).sum())

    @property
    def _is_counted(self) -> bool:
        """Whether rows are counted rather than resampled."""
        kind = _KINDS[self.metric]
        return kind == "binary" or (kind == "bounded" and self._differing < MIN_DIFFERING)

    def _counted(self, confidence: float) -> Interval:
        """Return both one-sided bounds from the counts of rows that are better and worse.

        Where few rows of a bounded score differ, the lower bound takes each that is worse for worse
        by the whole scale and none for better, the upper bound the other way round: they hold
        whatever the sizes are.
        """
        better, worse = int((self.samples[0] > 0).sum()), int((self.samples[0] < 0).sum())
        exact = _KINDS[self.metric] == "binary"
        return Interval(
            paired.lower(better if exact else 0, worse, self.rows, confidence),
            paired.upper(better, worse if exact else 0, self.rows, confidence),
        )


def compare(metric: Metric, candidate: RowScores, other: RowScores) -> Comparison:
    """Pair the rows of two models; raises NotMeasured when there is nothing sound to compare."""
    if list(candidate) != list(other):
        raise NotMeasured(f"{metric}: the models were scored on different rows")
    if len(candidate) < MIN_ROWS:
        raise NotMeasured(f"{metric}: {len(candidate)} holdout rows, needed are {MIN_ROWS} or more")
    if metric == "perplexity":
        return _perplexity(candidate, other)
    ours = _column(metric, metric, candidate.values())
    theirs = _column(metric, metric, other.values())
    return Comparison(
        metric=metric,
        candidate=float(ours.mean()),
        other=float(theirs.mean()),
        difference=float((ours - theirs).mean()),
        rows=len(ours),
        samples=(ours - theirs,),
    )


def _perplexity(candidate: RowScores, other: RowScores) -> Comparison:
    metric: Metric = "perplexity"
    ours = _column(metric, "loss", candidate.values())
    theirs = _column(metric, "loss", other.values())
    tokens = _column(metric, "tokens", candidate.values())
    if not np.array_equal(tokens, _column(metric, "tokens", other.values())):
        raise NotMeasured("perplexity: the models split the text into different tokens")
    samples = (ours, theirs, tokens)
    with np.errstate(over="ignore"):
        values = [float(np.exp(loss.sum() / tokens.sum())) for loss in (ours, theirs)]
        difference = float(_relative_perplexity(*samples, axis=-1))
    if not all(map(math.isfinite, (*values, difference))):
        raise NotMeasured("perplexity: it is too large for a finite number")
    return Comparison(metric, values[0], values[1], difference, len(ours), samples)


def _column(metric: Metric, name: str, rows: Iterable[RowScore]) -> NDArray[np.float64]:
    values = [getattr(row, name) for row in rows]
    if any(value is None or not math.isfinite(value) for value in values):
        raise NotMeasured(f"{metric}: a row has no finite score")
    return np.array(values, dtype=np.float64)


def _mean(differences: NDArray[np.float64], axis: int) -> Any:
    return differences.mean(axis=axis)


def _relative_perplexity(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], tokens: NDArray[np.float64], axis: int
) -> Any:
    """ppl(ours) / ppl(theirs) - 1, with ppl = exp(sum of losses / sum of tokens)."""
    return np.expm1((ours.sum(axis=axis) - theirs.sum(axis=axis)) / tokens.sum(axis=axis))


def _lower_perplexity(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], tokens: NDArray[np.float64], axis: int
) -> Any:
    return -_relative_perplexity(ours, theirs, tokens, axis)


_STATISTICS: dict[Metric, Statistic] = {
    "exact_match": _mean,
    "rouge_l": _mean,
    "perplexity": _relative_perplexity,
}
_IMPROVEMENTS: dict[Metric, Statistic] = {
    "exact_match": _mean,
    "rouge_l": _mean,
    "perplexity": _lower_perplexity,
}
