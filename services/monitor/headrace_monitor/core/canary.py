"""Judging one step of a canary: is it shown that the candidate is no worse than the incumbent?

Each check compares one thing and ends in one of these:

- not worse: the upper bound (one-sided, 95 %) of how much worse the candidate may be is within the
  manifest's limit. A difference of nothing between few requests shows nothing.
- worse: the lower bound is beyond the limit.
- unclear: neither. More requests are needed, and the detail says how many more would do.
- not judged: ratings only. They are optional: where nobody rates, or too few do, the check says so
  and neither holds the canary up nor speaks for it.

Errors: Newcombe's score interval of the difference of the error rates. Latency: the share of the
candidate's answers that are slower than `max_latency_ratio` times the incumbent's p95, less the 5 %
that a p95 allows, again by Newcombe, with the incumbent's 5 % as uncertain as its answers are few
(p95 candidate > ratio x p95 incumbent is the same as a share above 5 %). Ratings: Welch's interval
of the difference of the means.

`advance` needs errors and latency to be "not worse" and nothing to be "worse"; one "worse" is
`fail`, from `min_requests` on. While a check is unclear the step waits, up to five times the
requests that a flawless candidate would need; then the verdict is `cannot_tell`, which ends the
canary with that word and is not to be taken for "worse". Without traffic nothing is judged: a
canary never advances by silence.

The incumbent's arm needs `min_requests` too, but at most half of what the weight lets expect while
the candidate collects its own (weight 50, 30 requests: 15), so that chance does not hold a step
up. At weight 100 the incumbent gets none: its requests since the roll-out began stand for it, and
if there are none either, the workload's SLO does, by the same bounds.

A judgement looks at the same requests again and again while they grow; the bounds hold for each
look, not for all of them together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Literal

from headrace_events import canary_evidence as evidence
from headrace_events.canary_evidence import (
    CONFIDENCE,
    MIN_LATENCIES,
    SLOW_SHARE,
    difference_of_rates,
)
from headrace_events.rollout import ArmStats
from headrace_events.workload import Canary, Slo
from headrace_monitor.core import statistics

# An arm this bad is stopped before it has `min_requests`; one false stop in a thousand looks.
EARLY_CONFIDENCE = 0.999
EARLY_REQUESTS = 10
PATIENCE = 5
# Below this many milliseconds a ratio of latencies measures the scheduler.
LATENCY_FLOOR_MS = 25.0
MIN_RATINGS = 10

Finding = Literal["not_worse", "worse", "unclear", "not_judged"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One version's requests of a step; a blocked answer counts as an error.

    Latencies (oldest first) and ratings are those of its newest requests.
    """

    version: str
    requests: int
    errors: int
    latencies_ms: tuple[float, ...] = ()
    ratings: tuple[int, ...] = ()

    def stats(self) -> ArmStats:
        """Return the figures that the verdict carries (the cold requests too)."""
        ordered = sorted(self.latencies_ms)
        return ArmStats(
            version=self.version,
            requests=self.requests,
            errors=self.errors,
            p50_ms=statistics.percentile(ordered, 0.5) if ordered else 0.0,
            p95_ms=statistics.percentile(ordered, 0.95) if ordered else 0.0,
            rating_mean=fmean(self.ratings) if self.ratings else None,
            ratings=len(self.ratings),
        )

    def warm_latencies(self) -> tuple[float, ...]:
        """Return the latencies without the step's first requests."""
        return self.latencies_ms[evidence.cold_requests(len(self.latencies_ms)) :]


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison and what it says."""

    name: Literal["errors", "latency", "rating"]
    finding: Finding
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wait` is nobody's event: the step goes on. `cannot_tell` ends it for want of evidence."""

    verdict: Literal["advance", "fail", "wait", "cannot_tell"]
    reason: str
    checks: tuple[Check, ...] = ()


def needed(rules: Canary, weight: int) -> tuple[int, int]:
    """Return the requests that candidate and incumbent need at this weight (percent) at least."""
    expected = rules.min_requests * (100 - weight) / weight
    flawless = evidence.canary_requests(rules, weight) or 0
    return max(rules.min_requests, flawless), min(rules.min_requests, int(expected / 2))


def most(rules: Canary, weight: int) -> int:
    """Return after how many requests of the candidate a step that tells nothing is ended."""
    return PATIENCE * needed(rules, weight)[0]


def judge(candidate: Arm, incumbent: Arm, rules: Canary, slo: Slo, weight: int) -> Verdict:
    """Compare the arms of one step; see the module's docstring for the rules."""
    if early := _hopeless(candidate, incumbent, rules):
        return early
    wanted, wanted_incumbent = needed(rules, weight)
    limit = most(rules, weight)
    if candidate.requests < rules.min_requests or incumbent.requests < wanted_incumbent:
        few = (
            f"candidate {candidate.requests} of {wanted} requests, "
            f"incumbent {incumbent.requests} of {wanted_incumbent}"
        )
        if candidate.requests >= limit:
            return Verdict("cannot_tell", f"cannot tell: {few}")
        return Verdict("wait", few)
    if incumbent.requests:
        checks: tuple[Check, ...] = (
            _errors(candidate, incumbent, rules),
            _latency(candidate, incumbent, rules),
            _rating(candidate, incumbent),
        )
    else:
        checks = _against_slo(candidate, slo)
    return _decide(candidate.requests, checks, limit)


def _decide(requests: int, checks: Sequence[Check], limit: int) -> Verdict:
    def told(*findings: Finding) -> str:
        return "; ".join(c.detail for c in checks if c.finding in findings)

    findings = {c.finding for c in checks}
    if "worse" in findings:
        return Verdict("fail", told("worse"), tuple(checks))
    if "unclear" in findings:
        if requests >= limit:
            reason = f"cannot tell after {requests} requests: {told('unclear')}"
            return Verdict("cannot_tell", reason, tuple(checks))
        reason = f"{requests} requests, needs more (at most {limit}): {told('unclear')}"
        return Verdict("wait", reason, tuple(checks))
    return Verdict("advance", told("not_worse", "not_judged"), tuple(checks))


def _hopeless(candidate: Arm, incumbent: Arm, rules: Canary) -> Verdict | None:
    if candidate.requests < EARLY_REQUESTS:
        return None
    _, low, _ = difference_of_rates(
        (candidate.errors, candidate.requests),
        (incumbent.errors, incumbent.requests),
        EARLY_CONFIDENCE,
    )
    # An incumbent without requests could be just as bad: its upper bound is 1 and low below 0.
    if low <= rules.max_error_rate_increase:
        return None
    detail = f"{candidate.errors} of {candidate.requests} requests failed: stopped early"
    return Verdict("fail", detail, (Check("errors", "worse", detail),))


def _finding(low: float, high: float, limit: float) -> Finding:
    if low > limit:
        return "worse"
    return "not_worse" if high <= limit else "unclear"


def _more(shows: Callable[[float], bool], requests: int) -> str:
    """Say how many more requests without a flaw would show it; `shows` takes the growth."""
    more = evidence.smallest(lambda extra: shows((requests + extra) / requests))
    return "no number of requests shows it" if more is None else f"{more} more without one would do"


def _errors(candidate: Arm, incumbent: Arm, rules: Canary) -> Check:
    ours = candidate.errors, candidate.requests
    theirs = incumbent.errors, incumbent.requests
    difference, low, high = difference_of_rates(ours, theirs)
    limit = rules.max_error_rate_increase
    finding = _finding(low, high, limit)
    detail = (
        f"errors {ours[0]}/{ours[1]} against {theirs[0]}/{theirs[1]}: {difference:+.1%} "
        f"[{low:+.1%}, {high:+.1%}], limit {limit:+.1%}"
    )
    if finding == "unclear":

        def shows(growth: float) -> bool:
            grown = theirs[0] * growth, theirs[1] * growth
            return difference_of_rates((ours[0], ours[1] * growth), grown)[2] <= limit

        detail = f"{detail}: {_more(shows, ours[1])}"
    return Check("errors", finding, detail)


def _latency(candidate: Arm, incumbent: Arm, rules: Canary) -> Check:
    ours, theirs = candidate.warm_latencies(), incumbent.warm_latencies()
    if min(len(ours), len(theirs)) < MIN_LATENCIES:
        # Errors carry no latency: an arm of errors is the other check's to judge.
        detail = f"p95 from {len(ours)} and {len(theirs)} answers, {MIN_LATENCIES} needed of each"
        return Check("latency", "unclear", detail)
    p95 = statistics.percentile(sorted(ours), 0.95)
    reference = statistics.percentile(sorted(theirs), 0.95)
    bound = max(rules.max_latency_ratio * reference, LATENCY_FLOOR_MS)
    allowed = SLOW_SHARE * len(theirs), len(theirs)
    slow = sum(latency > bound for latency in ours)
    _, low, high = difference_of_rates((slow, len(ours)), allowed)
    finding = _finding(low, high, 0.0)
    detail = (
        f"p95 {p95:.0f} ms against {reference:.0f} ms; {slow} of {len(ours)} answers "
        f"slower than {bound:.0f} ms ({rules.max_latency_ratio:g}x), {SLOW_SHARE:.0%} allowed"
    )
    if finding == "unclear":

        def shows(growth: float) -> bool:
            grown = allowed[0] * growth, allowed[1] * growth
            return difference_of_rates((slow, len(ours) * growth), grown)[2] <= 0

        detail = f"{detail}: {_more(shows, len(ours))}"
    return Check("latency", finding, detail)


def _rating(candidate: Arm, incumbent: Arm) -> Check:
    ours, theirs = candidate.ratings, incumbent.ratings
    if not ours and not theirs:
        return Check("rating", "not_judged", "no ratings, so none were compared")
    if min(len(ours), len(theirs)) < MIN_RATINGS:
        detail = (
            f"ratings {len(ours)} and {len(theirs)}, {MIN_RATINGS} needed of each: not compared"
        )
        return Check("rating", "not_judged", detail)
    high = statistics.upper_bound_of_mean_difference(ours, theirs, CONFIDENCE)
    detail = f"rating {fmean(ours):+.2f} against {fmean(theirs):+.2f}"
    if high < 0:
        return Check("rating", "worse", detail)
    return Check("rating", "not_judged", f"{detail}: not shown to be worse")


def _against_slo(candidate: Arm, slo: Slo) -> tuple[Check, ...]:
    alone = "no requests of the incumbent"
    errors = _against_rate(
        "errors",
        (candidate.errors, candidate.requests),
        slo.error_rate,
        f"errors {candidate.errors}/{candidate.requests}, objective {slo.error_rate:.1%} ({alone})",
    )
    latencies = candidate.warm_latencies()
    if len(latencies) < MIN_LATENCIES:
        detail = f"p95 from {len(latencies)} answers, {MIN_LATENCIES} needed"
        return errors, Check("latency", "unclear", detail)
    slow = sum(latency > slo.p95_ms for latency in latencies)
    p95 = statistics.percentile(sorted(latencies), 0.95)
    return errors, _against_rate(
        "latency",
        (slow, len(latencies)),
        SLOW_SHARE,
        f"p95 {p95:.0f} ms; {slow} of {len(latencies)} answers slower than the objective "
        f"{slo.p95_ms:.0f} ms, {SLOW_SHARE:.0%} allowed ({alone})",
    )


def _against_rate(
    name: Literal["errors", "latency"], flawed: tuple[int, int], limit: float, detail: str
) -> Check:
    z = NormalDist().inv_cdf(CONFIDENCE)
    finding = _finding(*evidence.wilson(*flawed, z), limit)
    if finding == "unclear":

        def shows(growth: float) -> bool:
            return evidence.wilson(flawed[0], flawed[1] * growth, z)[1] <= limit

        detail = f"{detail}: {_more(shows, flawed[1])}"
    return Check(name, finding, detail)
