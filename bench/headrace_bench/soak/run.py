"""Runs a soak: stack, good traffic, hostile traffic, kills, a watcher, and the count at the end."""

import asyncio
import contextlib
import time
from pathlib import Path

from headrace_bench.faults.drain import drain
from headrace_bench.faults.killer import StillDown, kill, wait_ready
from headrace_bench.faults.kills import Progress
from headrace_bench.faults.report import Row
from headrace_bench.faults.sender import Sender
from headrace_bench.faults.stack import SERVICES, FaultStack, fault_stack
from headrace_bench.faults.traffic import Traffic
from headrace_bench.soak import good, hostile_http
from headrace_bench.soak.hostile_records import HostileProducer
from headrace_bench.soak.plan import Plan
from headrace_bench.soak.verdict import Ran, judge
from headrace_bench.soak.watch import Growth, watch

_DRAIN_SECONDS = 240.0
_WARM_SECONDS = 5.0


async def run(home: Path, plan: Plan, progress: Progress) -> tuple[Row, list[Growth]]:
    """Soak; what was counted, and how each part's memory grew."""
    per_second = plan.kafka_per_second + plan.http_per_second
    row = Row(f"soak, {plan.seconds / 60:.0f} min at {per_second:.0f} req/s", 0, 0, 0.0)
    progress("starting the stack", 0.0)
    with fault_stack(home) as stack:
        started = time.monotonic()
        ran = Ran(Traffic(home))
        async with Sender(stack.bootstrap) as sender, HostileProducer(stack.bootstrap) as producer:
            await sender.send_all((e, e.workload) for e in ran.traffic.manifests())
            await asyncio.sleep(_WARM_SECONDS)
            await _under_fire(stack, plan, ran, sender, producer, progress)
            progress("waiting for the stack to come to rest", 0.97)
            for name in SERVICES:
                try:
                    await wait_ready(stack, name)
                except StillDown as error:
                    row.problems.append(str(error))
            drained = await drain(stack, _DRAIN_SECONDS)
            if not drained.empty:
                row.problems.append(f"not drained after {drained.seconds:.0f} s: {drained.left()}")
            progress("counting", 0.99)
            grown = await judge(row, plan, stack, ran, producer)
        row.seconds = time.monotonic() - started
    return row, grown


async def _under_fire(
    stack: FaultStack,
    plan: Plan,
    ran: Ran,
    sender: Sender,
    producer: HostileProducer,
    progress: Progress,
) -> None:
    base_url = stack.state.base_url
    over = asyncio.Event()
    tasks = [
        asyncio.create_task(coroutine, name=name)
        for name, coroutine in (
            ("kafka", good.over_kafka(ran.traffic, sender, plan.kafka_per_second, over)),
            ("http", good.over_http(base_url, ran.http, plan.http_per_second, over)),
            ("hostile records", producer.run(plan.hostile_pause, over)),
            ("hostile http", hostile_http.run(base_url, ran.attacks, plan.hostile_pause, over)),
            ("watch", watch(stack, base_url, ran.watched, over)),
        )
    ]
    killing = asyncio.create_task(_kill(stack, plan, ran))
    try:
        await _wait(plan, tasks, progress)
    finally:
        over.set()
        killing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await killing
        await asyncio.gather(*tasks)


async def _wait(plan: Plan, tasks: "list[asyncio.Task[None]]", progress: Progress) -> None:
    """Until the time is over; a part of the soak that ends before it is an error."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < plan.seconds:
        left = plan.seconds - passed
        progress(f"{left / 60:.0f} min left", passed / plan.seconds * 0.96)
        done, _ = await asyncio.wait(tasks, timeout=min(5.0, left), return_when="FIRST_COMPLETED")
        for task in done:
            task.result()
            raise RuntimeError(f"{task.get_name()} ended before the soak did")


async def _kill(stack: FaultStack, plan: Plan, ran: Ran) -> None:
    began = time.monotonic()
    for at, victim in plan.kills():
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        try:
            await wait_ready(stack, victim, plan.kill_window)
            ran.kills.append((time.time(), victim))
            async with asyncio.timeout(plan.kill_window):
                await kill(stack, victim)
        except StillDown as error:
            ran.problems.append(str(error))
        except TimeoutError:
            ran.problems.append(f"the supervisor did not notice the death of {victim}")
    ran.quiet_since = time.time() + plan.kill_window
