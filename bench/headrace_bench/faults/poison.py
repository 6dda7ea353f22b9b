"""Faults: one record in a hundred is poison; every record is poison."""

import asyncio
import itertools
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from headrace_bench.faults import effects
from headrace_bench.faults.counts import count
from headrace_bench.faults.drain import Drained, drain
from headrace_bench.faults.event_log import EventLog, read_log
from headrace_bench.faults.groups import Groups
from headrace_bench.faults.junk import KINDS, Poisoner
from headrace_bench.faults.killer import StillDown, kill, wait_ready
from headrace_bench.faults.kills import Progress
from headrace_bench.faults.report import Row
from headrace_bench.faults.sender import Sender
from headrace_bench.faults.stack import FaultStack, fault_stack
from headrace_bench.faults.traffic import Traffic
from headrace_events.monitoring import AlertRaised

_DRAIN_SECONDS = 180.0
_AT_ONCE = 500
_RATE = 0.9
_LIMIT = 200  # the default of HEADRACE_KAFKA__DEAD_LETTER_LIMIT
_INPUT_GROUP = "headrace.guardrails.input"
_ALERT = "dead-letter-limit/guardrails"


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    rounds: int = 3
    """Pairs of a clean and a poisoned round."""
    requests: int = 4000
    """Good ones in each round."""
    poison: int = 300
    """Records when all are poison; more than the limit."""


SHORT = Plan(rounds=1, requests=300)


async def run_one_percent(home: Path, plan: Plan, progress: Progress) -> Row:
    """Clean and poisoned rounds in turn: what the broker took is in the DLQ, the rest answered."""
    row = Row("poison 1 %", 0, 0, 0.0)
    progress("starting the stack", 0.0)
    with fault_stack(home) as stack:
        started = time.monotonic()
        traffic = Traffic(home)
        rates: dict[bool, list[float]] = {False: [], True: []}
        async with Sender(stack.bootstrap) as sender, Poisoner(stack.bootstrap) as poisoner:
            await sender.send_all((event, event.workload) for event in traffic.manifests())
            await _round(stack, traffic, sender, None, plan.requests // 2)  # warm
            for number in range(2 * plan.rounds):
                poisoned = bool(number % 2)
                what = "poisoned" if poisoned else "clean"
                progress(f"round {number // 2 + 1}, {what}", number / (2 * plan.rounds) * 0.9)
                rate = await _round(
                    stack, traffic, sender, poisoner if poisoned else None, plan.requests
                )
                rates[poisoned].append(rate)
            progress("the largest record, and one too large", 0.92)
            await poisoner.write_too_large()
            await poisoner.write_largest()
            drained = await drain(stack, _DRAIN_SECONDS)
            log = await _judge(row, stack, traffic, poisoner, drained)
        row.events = sender.events + len(poisoner.accepted)
        row.faults = len(poisoner.accepted)
        row.seconds = time.monotonic() - started
    clean, poisoned_rate = statistics.median(rates[False]), statistics.median(rates[True])
    share = poisoned_rate / clean
    if share < _RATE:
        row.missed.append(f"good traffic at {share:.0%} of the clean rate, not 90 %")
    row.figures |= {
        "clean per s": round(clean),
        "with poison per s": round(poisoned_rate),
        "of the clean rate": f"{share:.0%}",
        "dead letters": len(log.dead_letters),
        "refused by the broker": ", ".join(f"{k}: {e}" for k, e in poisoner.refused.items()),
    }
    row.figures["rates"] = {"clean": rates[False], "poisoned": rates[True]}
    return row


async def run_all(home: Path, plan: Plan, progress: Progress) -> Row:
    """Nothing but poison: the consumer halts at its limit, alerts, and goes on when restarted."""
    row = Row("poison 100 %", 0, plan.poison, 0.0)
    progress("starting the stack", 0.0)
    with fault_stack(home) as stack:
        started = time.monotonic()
        traffic = Traffic(home)
        async with Sender(stack.bootstrap) as sender, Poisoner(stack.bootstrap) as poisoner:
            await sender.send_all((event, event.workload) for event in traffic.manifests())
            progress("poison", 0.3)
            kinds = itertools.islice(itertools.cycle(KINDS), plan.poison)
            for kind in kinds:
                await poisoner.write(kind)
            progress("waiting for the halt", 0.5)
            await _check_halt(row, stack)
            progress("restarting the consumer", 0.7)
            await kill(stack, "guardrails")
            await wait_ready(stack, "guardrails")
            await sender.send_all(traffic.ask(100))
            drained = await drain(stack, _DRAIN_SECONDS)
            log = await _judge(row, stack, traffic, poisoner, drained)
        row.events = sender.events + len(poisoner.accepted)
        row.seconds = time.monotonic() - started
    distinct = len({letter.origin for letter in log.dead_letters})
    row.figures["dead letters repeated"] = len(log.dead_letters) - distinct
    return row


async def _check_halt(row: Row, stack: FaultStack) -> None:
    """Halted at the limit, not ready, alerted, and nothing more is drained."""
    try:
        await _until_not_ready(stack, "guardrails")
    except StillDown as error:
        row.problems.append(f"no halt: {error}")
        return
    await asyncio.sleep(3.0)  # a consumer that had not halted would go on meanwhile
    log = await read_log(stack.bootstrap)
    halted_at = len(log.dead_letters)
    if halted_at > _LIMIT:
        row.problems.append(f"{halted_at} dead letters at the halt, the limit is {_LIMIT}")
    async with Groups(stack.bootstrap) as groups:
        behind = (await groups.lags("guardrails")).get(_INPUT_GROUP, 0)
    if not behind:
        row.problems.append("the halted consumer has committed what it did not handle")
    alerts = [e for e in log.of(AlertRaised) if e.data(AlertRaised).name == _ALERT]
    if not alerts:
        row.problems.append(f"no alert {_ALERT}")
    if reason := await _not_halted(stack):
        row.problems.append(reason)
    row.figures["halted at"] = halted_at
    row.figures["alerts"] = len(alerts)


async def _not_halted(stack: FaultStack) -> str:
    url = stack.state.part("guardrails").url
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
        body: dict[str, Any] = await answer.json()
    halted = answer.status == 503 and body.get("checks", {}).get("consuming") is False
    return "" if halted else f"/readyz answers {answer.status} {body}, not 503 with consuming false"


async def _until_not_ready(stack: FaultStack, name: str, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while stack.state.part(name).state != "not ready":
        if time.monotonic() > until:
            raise StillDown(f"{name} is {stack.state.part(name).state} after {seconds:.0f} s")
        await asyncio.sleep(0.2)


async def _round(
    stack: FaultStack, traffic: Traffic, sender: Sender, poisoner: Poisoner | None, requests: int
) -> float:
    """Send `requests` good ones, with one in a hundred poison; good outcomes per second."""
    async with Groups(stack.bootstrap) as groups:
        before = time.monotonic()
        kinds = itertools.cycle(KINDS)
        for start in range(0, requests, _AT_ONCE):
            some = list(traffic.ask(min(_AT_ONCE, requests - start)))
            await asyncio.gather(
                sender.send_all(some), _poison(poisoner, kinds, max(1, len(some) // 100))
            )
        # What guardrails and serving have before them is nought when all answers are out.
        while await _path_lag(groups):
            await asyncio.sleep(0.1)
        return requests / (time.monotonic() - before)


async def _path_lag(groups: Groups) -> int:
    lags = {**await groups.lags("guardrails"), **await groups.lags("serving")}
    return sum(lags.values())


async def _poison(poisoner: Poisoner | None, kinds: "itertools.cycle[str]", some: int) -> None:
    if poisoner:
        for _ in range(some):
            await poisoner.write(next(kinds))


async def _judge(
    row: Row, stack: FaultStack, traffic: Traffic, poisoner: Poisoner, drained: Drained
) -> EventLog:
    log = await read_log(stack.bootstrap)
    poison = [accepted.origin for accepted in poisoner.accepted]
    row.counts += [
        *effects.outcomes(log, traffic),
        *await effects.captured(traffic, stack.databases, stack.storage),
        # A dead letter may lie in its topic again after a kill; what counts is where it came from.
        count(
            "poison → dead letter with origin",
            poison,
            ((letter.origin, letter.origin) for letter in log.dead_letters),
        ),
    ]
    strangers = {letter.origin for letter in log.dead_letters} - set(poison)
    if strangers:
        row.problems.append(f"good records dead-lettered: {sorted(strangers)[:5]}")
    if log.unlabelled_dead_letters:
        row.problems.append(f"{log.unlabelled_dead_letters} dead letters without origin headers")
    if not drained.empty:
        row.problems.append(f"not drained after {drained.seconds:.0f} s: {drained.left()}")
    return log
