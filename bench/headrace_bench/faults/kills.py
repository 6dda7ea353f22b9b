"""Fault: kill -9 of each service in turn, while it has events before it."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace_bench.faults.drain import drain
from headrace_bench.faults.groups import Groups
from headrace_bench.faults.killer import kill, wait_ready
from headrace_bench.faults.report import Row
from headrace_bench.faults.sender import Sender
from headrace_bench.faults.stack import SERVICES, FaultStack, fault_stack
from headrace_bench.faults.traffic import Traffic
from headrace_bench.faults.verdict import judge
from headrace_events import Event

Progress = Callable[[str, float], None]
"""What is going on, and the share of it that is done."""

_LONGEST_DELAY_SECONDS = 0.4
_DRAIN_SECONDS = 240.0


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    kills: int = 100
    events: int = 10_000
    landings: int = 12
    trainings: int = 3
    """Landings whose dataset is to be trained; without MLflow each fails after its attempts."""


SHORT = Plan(kills=10, events=1_000, landings=3, trainings=0)


async def run(home: Path, plan: Plan, progress: Progress) -> Row:
    """Start the stack, hurt it, let it come to rest, count."""
    row = Row(f"kill -9 ×{plan.kills}, all eight services in turn", 0, 0, 0.0)
    progress("starting the stack", 0.0)
    with fault_stack(home) as stack:
        started = time.monotonic()
        traffic = Traffic(home)
        async with Sender(stack.bootstrap) as sender:
            await sender.send_all((event, event.workload) for event in traffic.manifests())
            kills = await _kill_all(stack, plan, traffic, sender, progress)
            row.faults = sum(kills.values())
            progress("waiting for the stack to come to rest", 0.97)
            for name in SERVICES:
                await wait_ready(stack, name)
            drained = await drain(stack, _DRAIN_SECONDS)
            progress("counting", 0.99)
            await judge(row, stack, traffic, sender, drained)
        row.seconds = time.monotonic() - started
    for name in SERVICES:
        if not kills[f"{name} busy"]:
            row.problems.append(f"{name} was never killed with events before it")
    busy = sum(times for name, times in kills.items() if name.endswith("busy"))
    row.figures["killed with events before it"] = busy
    return row


async def _kill_all(
    stack: FaultStack, plan: Plan, traffic: Traffic, sender: Sender, progress: Progress
) -> Counter[str]:
    """Kill in turn; each time a burst for the victim is on its way."""
    chance = random.Random(traffic.seed)  # noqa: S311 - moments, not secrets
    rounds = _rounds(plan, traffic)
    kills: Counter[str] = Counter()
    async with Groups(stack.bootstrap) as groups:
        for number, victim in zip(range(plan.kills), itertools.cycle(SERVICES), strict=False):
            progress(f"kill {number + 1} of {plan.kills}: {victim}", number / plan.kills * 0.95)
            await wait_ready(stack, victim)
            burst = asyncio.create_task(sender.send_all(next(rounds)(victim)))
            await asyncio.sleep(chance.uniform(0, _LONGEST_DELAY_SECONDS))
            await kill(stack, victim)
            # The dead do not commit: what is behind now was behind at the kill, or came since.
            behind = sum((await groups.lags(victim)).values())
            busy = behind or await stack.databases.has_running_job(victim)
            kills[f"{victim} busy" if busy else f"{victim} idle"] += 1
            await burst
    return kills


def _rounds(
    plan: Plan, traffic: Traffic
) -> Iterator[Callable[[str], list[tuple[Event[Any], str]]]]:
    """For each kill what to send: mostly requests, some feedback, the victim's own events first."""
    each = max(1, plan.events // plan.kills)
    for number in itertools.count():

        def events(victim: str, number: int = number) -> list[tuple[Event[Any], str]]:
            found = [*traffic.control(victim, max(2, each // 12))]
            landings = plan.landings * (number + 1) // plan.kills
            while len(traffic.prompts) < min(landings, plan.landings):
                landing = traffic.landing(trained=len(traffic.prompts) < plan.trainings)
                found.append((landing, landing.workload))
            found += traffic.rate(each // 8)
            found += traffic.ask(each - len(found))
            return found

        yield events
