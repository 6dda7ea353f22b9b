"""How many requests the rules of a canary need: score intervals of rates, and what they cost.

Pure arithmetic, used by the service that judges and by whoever wants to tell beforehand that a rule
cannot be shown with the numbers at hand (`headrace apply`). All bounds are one-sided.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

from headrace_events.workload import Canary

CONFIDENCE = 0.95
SLOW_SHARE = 0.05
"""p95: the share of requests that may be slower."""
# The first requests of a step pay for cold caches and adapters; they say nothing about the model.
WARM_UP_SHARE = 0.1
WARM_UP_MOST = 5
MOST_REQUESTS = 1_000_000
"""A rule that needs more requests than this in one step cannot be shown."""
MIN_LATENCIES = 10
"""Fewer answers on a side do not have a p95."""


def wilson(successes: float, trials: float, z: float) -> tuple[float, float]:
    """Return Wilson's score bounds of a proportion (Wilson 1927), lower and upper at `z`."""
    if not trials:
        return 0.0, 1.0
    p = successes / trials
    scale = 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def difference_of_rates(
    candidate: tuple[float, float], incumbent: tuple[float, float], confidence: float = CONFIDENCE
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


def _rate(successes: float, trials: float) -> float:
    return successes / trials if trials else 0.0


def cold_requests(answers: int) -> int:
    """Return how many first answers of a step do not count for its latency."""
    return min(WARM_UP_MOST, max(1, int(answers * WARM_UP_SHARE)))


def smallest(shows: Callable[[int], bool]) -> int | None:
    """Return the smallest number of requests for which `shows` holds; None beyond MOST_REQUESTS.

    `shows` must stay true once it is: more of the same requests never show less.
    """
    high = 1
    while not shows(high):
        high *= 2
        if high > MOST_REQUESTS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


@lru_cache(maxsize=1024)
def clean_requests(limit: float) -> int | None:
    """Return how many requests without one error show an error rate below `limit`."""
    z = NormalDist().inv_cdf(CONFIDENCE)
    return smallest(lambda n: wilson(0, n, z)[1] <= limit)


def canary_requests(rules: Canary, weight: int) -> int | None:
    """Return how many flawless requests the candidate of a step needs before it can advance.

    Flawless: no error and no slow answer, on either side; each flaw costs more. `weight` in
    percent decides how many the incumbent has by then. At weight 100 it has none of its own step,
    and the candidate is taken to be held against a known rate. None: no number of them does.
    """
    return _canary_requests(rules.max_error_rate_increase, weight)


@lru_cache(maxsize=4096)
def _canary_requests(limit: float, weight: int) -> int | None:
    z = NormalDist().inv_cdf(CONFIDENCE)

    def shows(n: int) -> bool:
        theirs = n * (100 - weight) / weight
        warm, their_warm = n - cold_requests(n), theirs - cold_requests(int(theirs))
        if warm < MIN_LATENCIES or difference_of_rates((0, n), (0, theirs))[2] > limit:
            return False
        if weight >= 100:
            return wilson(0, warm, z)[1] <= SLOW_SHARE
        if their_warm < MIN_LATENCIES:
            return False
        return difference_of_rates((0, warm), (SLOW_SHARE * their_warm, their_warm))[2] <= 0

    return smallest(shows)


def note(canary: Canary) -> str:
    """Say what the numbers of a valid manifest's canary cannot show; empty if they can."""
    limit = canary.max_error_rate_increase
    needs = {weight: canary_requests(canary, weight) for weight in canary.steps}
    if None in needs.values():
        return (
            f"no number of requests shows that errors rise by at most {limit:.2%} "
            "(max_error_rate_increase): it would end as `cannot tell`."
        )
    short = [f"{n} at weight {w}" for w, n in needs.items() if n and n > canary.min_requests]
    if not short:
        return ""
    return (
        f"{canary.min_requests} requests (min_requests) cannot show that errors rise by at most "
        f"{limit:.1%} and p95 stays in its limit. Each step goes on until it is shown, by flawless "
        f"requests after {', '.join(short)}."
    )
