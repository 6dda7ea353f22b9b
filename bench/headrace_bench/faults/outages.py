"""Faults: Kafka stands still for a minute; Kafka dies again and again."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace_bench.faults.drain import drain
from headrace_bench.faults.killer import freeze, kill, wait_ready
from headrace_bench.faults.kills import Progress
from headrace_bench.faults.report import Row
from headrace_bench.faults.sender import Sender
from headrace_bench.faults.stack import SERVICES, FaultStack, fault_stack
from headrace_bench.faults.traffic import Traffic
from headrace_bench.faults.verdict import judge

_DRAIN_SECONDS = 240.0
_LAG_SECONDS = 60.0
_LIVE_SECONDS = 4.0
"""How long Kafka lives between two deaths."""
_PER_SECOND = 20


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    frozen_seconds: float = 60.0
    restarts: int = 20


async def run_frozen(home: Path, plan: Plan, progress: Progress) -> Row:
    """Stop Kafka's process where it is, as a hanging disk or a lost network does."""
    row = Row(f"Kafka stopped for {plan.frozen_seconds:.0f} s", 0, 1, 0.0)
    async with _under_load(home, row, progress) as stack:
        await asyncio.sleep(_LIVE_SECONDS)
        progress(f"Kafka stands still for {plan.frozen_seconds:.0f} s", 0.2)
        await freeze(stack, "kafka", plan.frozen_seconds)
        await asyncio.sleep(_LIVE_SECONDS)
    return row


async def run_restarts(home: Path, plan: Plan, progress: Progress) -> Row:
    """Every other time by kill -9, else by SIGTERM."""
    row = Row(f"Kafka restarted ×{plan.restarts}", 0, plan.restarts, 0.0)
    async with _under_load(home, row, progress) as stack:
        for number in range(plan.restarts):
            progress(f"Kafka's death {number + 1} of {plan.restarts}", number / plan.restarts * 0.9)
            await asyncio.sleep(_LIVE_SECONDS)
            await kill(stack, "kafka", signal.SIGTERM if number % 2 else signal.SIGKILL)
            await wait_ready(stack, "kafka")
    return row


@asynccontextmanager
async def _under_load(home: Path, row: Row, progress: Progress) -> AsyncIterator[FaultStack]:
    """Send all kinds of events while the block hurts the stack; count when it has come to rest."""
    progress("starting the stack", 0.0)
    with fault_stack(home) as stack:
        started = time.monotonic()
        traffic = Traffic(home)
        async with Sender(stack.bootstrap) as sender:
            await sender.send_all((event, event.workload) for event in traffic.manifests())
            over = asyncio.Event()
            load = asyncio.create_task(_load(traffic, sender, over))
            try:
                yield stack
            finally:
                over.set()
            progress("waiting for the last acknowledgements", 0.92)
            await load
            progress("waiting for the stack to come to rest", 0.95)
            for name in ("kafka", *SERVICES):
                await wait_ready(stack, name)
            drained = await drain(stack, _DRAIN_SECONDS)
            progress("counting", 0.99)
            await judge(row, stack, traffic, sender, drained)
        if drained.lag_seconds > _LAG_SECONDS:
            row.missed.append(f"lag drained in {drained.lag_seconds:.0f} s, not in 60")
        row.figures["sends repeated"] = sender.sent_again
        row.seconds = time.monotonic() - started


async def _load(traffic: Traffic, sender: Sender, over: asyncio.Event) -> None:
    """A steady load: what Kafka does not take now is sent again until it does."""
    under_way: set[asyncio.Task[None]] = set()
    second = 0
    while not over.is_set():
        events = [*traffic.ask(_PER_SECOND), *traffic.rate(2)]
        events += traffic.control(SERVICES[second % len(SERVICES)], 1)
        if second in {2, 20, 40}:
            landing = traffic.landing(trained=False)
            events.append((landing, landing.workload))
        task = asyncio.create_task(sender.send_all(events))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        second += 1
        await asyncio.sleep(1.0)
    await asyncio.gather(*under_way)
