"""Two kinds of load: as fast as it goes with so many under way, and at a set rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Ask = Callable[[int], Awaitable[None]]
"""Sends request number n and returns when its answer is there."""


@dataclass(frozen=True)
class Measured:
    """What came out of one round."""

    requests: int
    seconds: float
    latencies_ms: tuple[float, ...]

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds

    def quantile(self, share: float) -> float:
        """The latency that `share` of the requests did not pass, in milliseconds."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def as_fast_as_it_goes(ask: Ask, seconds: float, under_way: int) -> Measured:
    """Keep `under_way` requests open for `seconds`; those answered within the time count."""
    latencies: list[float] = []
    started = time.perf_counter()
    until = started + seconds
    number = 0

    async def one_after_the_other() -> None:
        nonlocal number
        while (begun := time.perf_counter()) < until:
            number += 1
            await ask(number)
            ended = time.perf_counter()
            if ended <= until:
                latencies.append((ended - begun) * 1000)

    await asyncio.gather(*(one_after_the_other() for _ in range(under_way)))
    return Measured(len(latencies), seconds, tuple(latencies))


async def at_rate(ask: Ask, seconds: float, per_second: float) -> Measured:
    """Send on time whether or not answers come: a slow answer must not slow the next request."""
    latencies: list[float] = []

    async def timed(number: int, due: float) -> None:
        await ask(number)
        # From when it was due: a sender that is late makes no latency disappear.
        latencies.append((time.perf_counter() - due) * 1000)

    tasks = []
    started = time.perf_counter()
    for number in range(int(seconds * per_second)):
        due = started + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(timed(number, due)))
    await asyncio.gather(*tasks)
    return Measured(len(latencies), time.perf_counter() - started, tuple(latencies))
