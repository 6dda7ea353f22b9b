"""Looks at the stack from outside: does it answer, does it say the truth, does it grow?"""

import asyncio
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field

import aiohttp
import psutil

from headrace_bench.faults.stack import FaultStack
from headrace_stack.processes import resident_bytes

_LOOK_SECONDS = 5.0
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_PAGES = ("/healthz", "/")
_MIB = 1024 * 1024
_GROWTH_SHARE, _GROWTH_MIB = 0.05, 24.0
"""Memory is flat when it grew by less than both together: allocators and caches breathe."""
_LEAST_SAMPLES = 9
_OK = 200


@dataclass
class Watched:
    """What was seen."""

    looks: int = 0
    silent: list[tuple[float, str]] = field(default_factory=list)
    """When a page behind the base URL did not answer with 200, and how."""
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """MiB resident by part, as (time, size)."""
    not_ready: list[tuple[float, str]] = field(default_factory=list)
    """Parts that `headrace status` would not call ready."""


async def watch(stack: FaultStack, base_url: str, seen: Watched, over: asyncio.Event) -> None:
    """Look every few seconds until it is over."""
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        while not over.is_set():
            await _look(stack, session, base_url, seen)
            await asyncio.sleep(_LOOK_SECONDS)


async def _look(
    stack: FaultStack, session: aiohttp.ClientSession, base_url: str, seen: Watched
) -> None:
    seen.looks += 1
    at = time.time()
    for page in _PAGES:
        try:
            async with session.get(base_url + page) as response:
                await response.read()
                if response.status != _OK:
                    seen.silent.append((at, f"{page} {response.status}"))
        except (aiohttp.ClientError, TimeoutError) as error:
            seen.silent.append((at, f"{page} {type(error).__name__}"))
    state = stack.state
    for part in state.parts:
        if part.state != "ready":
            seen.not_ready.append((at, part.name))
        elif part.pid:
            size = await asyncio.to_thread(resident_bytes, part.pid)
            seen.memory[part.name].append((at, size / _MIB))
    supervisor = psutil.Process(state.supervisor_pid)
    seen.memory["supervisor"].append((at, supervisor.memory_info().rss / _MIB))


@dataclass(frozen=True)
class Growth:
    """One part's memory at the beginning and at the end of the time without kills, MiB."""

    part: str
    first: float
    last: float
    per_hour: float
    """From Theil and Sen's slope: the median of all pairs' slopes."""

    @property
    def flat(self) -> bool:
        """Whether it grew by no more than caches do."""
        return self.last - self.first <= self.first * _GROWTH_SHARE + _GROWTH_MIB


def growth(seen: Watched, since: float) -> list[Growth]:
    """Each part's growth since a moment: medians of the first and the last third."""
    found = []
    for part, all_ in sorted(seen.memory.items()):
        samples = [(at, size) for at, size in all_ if at >= since]
        if len(samples) < _LEAST_SAMPLES:
            continue
        third = len(samples) // 3
        first = statistics.median(size for _, size in samples[:third])
        last = statistics.median(size for _, size in samples[-third:])
        found.append(Growth(part, first, last, _slope(samples) * 3600))
    return found


def _slope(samples: list[tuple[float, float]]) -> float:
    some = samples[:: max(1, len(samples) // 100)]
    return statistics.median(
        (b[1] - a[1]) / (b[0] - a[0])
        for i, a in enumerate(some)
        for b in some[i + 1 :]
        if b[0] > a[0]
    )
