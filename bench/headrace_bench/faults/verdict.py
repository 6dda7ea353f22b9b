"""Reads the end state of a stack and counts everything."""

from headrace_bench.faults import effects
from headrace_bench.faults.drain import Drained
from headrace_bench.faults.event_log import EventLog, read_log
from headrace_bench.faults.report import Row
from headrace_bench.faults.sender import Sender
from headrace_bench.faults.stack import FaultStack
from headrace_bench.faults.traffic import Traffic


async def judge(
    row: Row,
    stack: FaultStack,
    traffic: Traffic,
    sender: Sender,
    drained: Drained,
) -> EventLog:
    """Fill the row's counts and problems; nothing may be in a dead-letter topic."""
    log = await read_log(stack.bootstrap)
    row.counts += [
        *effects.outcomes(log, traffic),
        *await effects.captured(traffic, stack.databases, stack.storage),
        *await effects.landed(log, traffic, stack.storage),
        *await effects.controlled(log, sender.acknowledged, stack.databases),
        *await effects.audited(log, stack.databases),
    ]
    if not drained.empty:
        row.problems.append(f"not drained after {drained.seconds:.0f} s: {drained.left()}")
    if log.dead_letters or log.unlabelled_dead_letters:
        kinds = sorted({f"{d.service} {d.topic} {d.error}" for d in log.dead_letters})
        found = len(log.dead_letters) + log.unlabelled_dead_letters
        row.problems.append(f"{found} dead letters: {', '.join(kinds)}")
    row.events = sender.events
    row.figures["repeats dropped"] = log.repeats()
    row.figures["drained in s"] = round(drained.lag_seconds)
    return log
