"""What each process of the stack spends on one request, and whether the machine is at rest."""

import asyncio
import time

import psutil

from headrace_stack.stack import Stack

LOAD = "load generator"
_QUIET_PERCENT = 15.0  # of the machine, over a second
_QUIET_SECONDS = 180.0


async def at_rest() -> bool:
    """Wait until nothing is left of the round before; false if that takes three minutes.

    MLflow's gateway writes its traces long after it has answered.
    """
    until = time.monotonic() + _QUIET_SECONDS
    while time.monotonic() < until:
        if await asyncio.to_thread(psutil.cpu_percent, 1.0) < _QUIET_PERCENT:
            return True
    return False


def seconds(stack: Stack) -> dict[str, float]:
    """CPU seconds so far, by part; this process is the load generator."""
    state = stack.state()
    pids = {part.name: part.pid for part in state.parts if part.pid} if state else {}
    return {name: _used(pid) for name, pid in pids.items()} | {LOAD: _used(None)}


def _used(pid: int | None) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def per_request(
    before: dict[str, float], after: dict[str, float], requests: int
) -> dict[str, float]:
    """Milliseconds by part, and all together."""
    found = {name: 1000 * (after[name] - before.get(name, 0.0)) / requests for name in after}
    return {name: round(spent, 2) for name, spent in {**found, "all": sum(found.values())}.items()}
