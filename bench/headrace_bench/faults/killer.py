"""Kills and stops parts of a stack, and waits for what the supervisor makes of it."""

import asyncio
import os
import signal
import time

from headrace_bench.faults.stack import FaultStack

_POLL_SECONDS = 0.1


class StillDown(RuntimeError):
    """A part did not come back."""


async def wait_ready(stack: FaultStack, name: str, seconds: float = 90.0) -> None:
    """Return when a part is ready."""
    until = time.monotonic() + seconds
    while stack.state.part(name).state != "ready":
        if time.monotonic() > until:
            part = stack.state.part(name)
            raise StillDown(f"{name} is {part.state} after {seconds:.0f} s; its log: {part.log}")
        await asyncio.sleep(_POLL_SECONDS)


async def kill(stack: FaultStack, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    """End a part's process; return when the supervisor has noticed."""
    part = stack.state.part(name)
    if part.pid is None:
        raise StillDown(f"{name} does not run: {part.problem}")
    os.kill(part.pid, number)
    while stack.state.part(name).restarts == part.restarts:
        await asyncio.sleep(_POLL_SECONDS)


async def freeze(stack: FaultStack, name: str, seconds: float) -> None:
    """Stop a part's process in the middle of whatever it does, and let it go on later."""
    part = stack.state.part(name)
    if part.pid is None:
        raise StillDown(f"{name} does not run: {part.problem}")
    os.kill(part.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(part.pid, signal.SIGCONT)
