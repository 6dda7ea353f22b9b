"""Judging one step of a canary: is the candidate no worse than the incumbent?

Each check ends in one of three ways: the candidate is not worse, it is worse, or the requests so
far do not tell. `advance` needs every check to say "not worse"; one "worse" is `fail`; with an
open check the step waits for more requests, and when five times `min_requests` still do not tell,
it fails. Without traffic nothing is judged: a canary never advances by silence.

The incumbent's arm needs `min_requests` too, but at most half of what the weight lets expect while
the candidate collects its own (weight 50, 30 requests: 15), so that chance does not hold a step
up. At weight 100 the incumbent gets none: its requests since the roll-out began stand for it, and
if there are none either, the workload's SLO does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from headrace_events.rollout import ArmStats
from headrace_events.workload import Canary, Slo
from headrace_monitor.core import statistics

CONFIDENCE = 0.95
# An arm this bad is stopped before it has `min_requests`; one false stop in a thousand looks.
EARLY_CONFIDENCE = 0.999
EARLY_REQUESTS = 10
PATIENCE = 5
# The first requests of a step pay for cold caches and adapters; they say nothing about the model.
WARM_UP_SHARE = 0.1
WARM_UP_MOST = 5
MIN_LATENCIES = 10
# Below this many milliseconds a ratio of latencies measures the scheduler.
LATENCY_FLOOR_MS = 25.0
MIN_RATINGS = 10

Finding = Literal["not_worse", "worse", "unclear"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One version's requests of a step, oldest first; a blocked answer counts as an error."""

    version: str
    requests: int
    errors: int
    latencies_ms: tuple[float, ...] = ()
    ratings: tuple[int, ...] = ()

    def stats(self) -> ArmStats:
        """Return the figures that the verdict carries (all requests, the cold ones too)."""
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
        cold = min(WARM_UP_MOST, max(1, int(len(self.latencies_ms) * WARM_UP_SHARE)))
        return self.latencies_ms[cold:]


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison and what it says."""

    name: Literal["errors", "latency", "rating"]
    finding: Finding
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wait` is nobody's event: the step goes on."""

    verdict: Literal["advance", "fail", "wait"]
    reason: str
    checks: tuple[Check, ...] = ()


def needed(rules: Canary, weight: int) -> tuple[int, int]:
    """Return the requests that candidate and incumbent need at this weight (percent)."""
    expected = rules.min_requests * (100 - weight) / weight
    return rules.min_requests, min(rules.min_requests, int(expected / 2))


def judge(candidate: Arm, incumbent: Arm, rules: Canary, slo: Slo, weight: int) -> Verdict:
    """Compare the arms of one step; see the module's docstring for the rules."""
    if early := _hopeless(candidate, incumbent, rules):
        return early
    wanted, wanted_incumbent = needed(rules, weight)
    if candidate.requests < wanted or incumbent.requests < wanted_incumbent:
        return Verdict(
            "wait",
            f"candidate {candidate.requests} of {wanted} requests, "
            f"incumbent {incumbent.requests} of {wanted_incumbent}",
        )
    if incumbent.requests:
        checks: tuple[Check, ...] = (
            _errors(candidate, incumbent, rules),
            _latency(candidate, incumbent, rules),
            _rating(candidate, incumbent),
        )
    else:
        checks = _against_slo(candidate, slo)
    return _decide(candidate, checks, rules)


def _decide(candidate: Arm, checks: Sequence[Check], rules: Canary) -> Verdict:
    def told(finding: Finding) -> str:
        return "; ".join(c.detail for c in checks if c.finding == finding)

    findings = {c.finding for c in checks}
    if "worse" in findings:
        return Verdict("fail", told("worse"), tuple(checks))
    if "unclear" in findings:
        limit = PATIENCE * rules.min_requests
        if candidate.requests >= limit:
            reason = f"still unclear after {candidate.requests} requests: {told('unclear')}"
            return Verdict("fail", reason, tuple(checks))
        return Verdict("wait", f"needs more requests: {told('unclear')}", tuple(checks))
    return Verdict("advance", told("not_worse"), tuple(checks))


def _hopeless(candidate: Arm, incumbent: Arm, rules: Canary) -> Verdict | None:
    if candidate.requests < EARLY_REQUESTS:
        return None
    _, low, _ = statistics.difference_of_rates(
        (candidate.errors, candidate.requests),
        (incumbent.errors, incumbent.requests),
        EARLY_CONFIDENCE,
    )
    # An incumbent without requests could be just as bad: its upper bound is 1 and low below 0.
    if low <= rules.max_error_rate_increase:
        return None
    detail = f"{candidate.errors} of {candidate.requests} requests failed: stopped early"
    return Verdict("fail", detail, (Check("errors", "worse", detail),))


def _errors(candidate: Arm, incumbent: Arm, rules: Canary) -> Check:
    difference, low, high = statistics.difference_of_rates(
        (candidate.errors, candidate.requests), (incumbent.errors, incumbent.requests), CONFIDENCE
    )
    limit = rules.max_error_rate_increase
    finding: Finding = "unclear"
    if low > limit:
        finding = "worse"
    elif difference <= 0 or high <= limit:
        finding = "not_worse"
    return Check(
        "errors",
        finding,
        f"errors {candidate.errors}/{candidate.requests} against "
        f"{incumbent.errors}/{incumbent.requests}: {difference:+.1%} "
        f"[{low:+.1%}, {high:+.1%}], limit {limit:+.1%}",
    )


def _latency(candidate: Arm, incumbent: Arm, rules: Canary) -> Check:
    ours, theirs = candidate.warm_latencies(), incumbent.warm_latencies()
    if min(len(ours), len(theirs)) < MIN_LATENCIES:
        # Errors carry no latency: an arm of errors is the other check's to judge.
        detail = f"p95 from {len(ours)} and {len(theirs)} answers, {MIN_LATENCIES} needed"
        few = min(candidate.requests, incumbent.requests) < MIN_LATENCIES * 2
        return Check("latency", "not_worse" if few else "unclear", detail)
    p95 = statistics.percentile(sorted(ours), 0.95)
    reference = statistics.percentile(sorted(theirs), 0.95)
    limit = rules.max_latency_ratio
    detail = f"p95 {p95:.0f} ms against {reference:.0f} ms"
    if p95 <= max(limit * reference, LATENCY_FLOOR_MS):
        return Check("latency", "not_worse", f"{detail}, at most {limit:g}x allowed")
    low = statistics.lower_bound_of_p95_ratio(ours, theirs, CONFIDENCE)
    detail = f"{detail}: {p95 / max(reference, 1e-9):.2f}x (at least {low:.2f}x), limit {limit:g}x"
    return Check("latency", "worse" if low > limit else "unclear", detail)


def _rating(candidate: Arm, incumbent: Arm) -> Check:
    ours, theirs = candidate.ratings, incumbent.ratings
    if min(len(ours), len(theirs)) < MIN_RATINGS:
        detail = f"ratings {len(ours)} and {len(theirs)}, too few to compare"
        return Check("rating", "not_worse", detail)
    high = statistics.upper_bound_of_mean_difference(ours, theirs, CONFIDENCE)
    detail = f"rating {fmean(ours):+.2f} against {fmean(theirs):+.2f}"
    return Check("rating", "worse" if high < 0 else "not_worse", detail)


def _against_slo(candidate: Arm, slo: Slo) -> tuple[Check, ...]:
    low, _ = statistics.wilson(candidate.errors, candidate.requests, 1.645)
    rate = candidate.errors / candidate.requests
    checks = [
        Check(
            "errors",
            "not_worse"
            if rate <= slo.error_rate
            else "worse"
            if low > slo.error_rate
            else "unclear",
            f"errors {candidate.errors}/{candidate.requests}, objective {slo.error_rate:.1%} "
            "(no requests of the incumbent)",
        )
    ]
    if latencies := candidate.warm_latencies():
        p95 = statistics.percentile(sorted(latencies), 0.95)
        checks.append(
            Check(
                "latency",
                "not_worse" if p95 <= slo.p95_ms else "unclear",
                f"p95 {p95:.0f} ms, objective {slo.p95_ms:.0f} ms",
            )
        )
    return tuple(checks)
