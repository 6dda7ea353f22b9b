"""Counts: one outcome for each good request, nothing silent outside a kill, memory flat."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace_bench.faults.counts import Count, count, rows
from headrace_bench.faults.event_log import EventLog, read_log
from headrace_bench.faults.report import Row
from headrace_bench.faults.stack import FaultStack
from headrace_bench.faults.state import table_rows
from headrace_bench.faults.traffic import ASKED, Traffic
from headrace_bench.soak.good import HttpAnswers
from headrace_bench.soak.hostile_http import Seen
from headrace_bench.soak.hostile_records import HostileProducer
from headrace_bench.soak.plan import Plan
from headrace_bench.soak.watch import Growth, Watched, growth
from headrace_events.inference import InferenceCompleted, InferenceRejected
from headrace_events.topics import CATALOGUE, INFERENCE_COMPLETED

_SHOWN = 8
_BUSY = "429 "
"""The service says that it has enough to do: on a machine that does other work too, no fault."""


@dataclass
class Ran:
    """Everything that a soak has to be judged by."""

    traffic: Traffic
    http: HttpAnswers = field(default_factory=HttpAnswers)
    attacks: Seen = field(default_factory=Seen)
    watched: Watched = field(default_factory=Watched)
    kills: list[tuple[float, str]] = field(default_factory=list)
    began: float = field(default_factory=time.time)
    quiet_since: float = 0.0
    problems: list[str] = field(default_factory=list)
    """Deaths that nobody noticed, parts that did not come back."""


async def judge(
    row: Row, plan: Plan, stack: FaultStack, ran: Ran, producer: HostileProducer
) -> list[Growth]:
    """Fill the row; the growth of each part."""
    letters = [t.name for t in CATALOGUE if t.name.startswith("headrace.dlq.")]
    log = await read_log(stack.bootstrap, [INFERENCE_COMPLETED, *letters])
    row.counts += [*_outcomes(log, ran, producer), *await _captured(stack, ran)]
    outside = _Outside(plan, ran)
    row.problems += [
        *ran.problems,
        *outside(
            "good HTTP requests failed",
            [(f.at, f.what) for f in ran.http.failures if not f.what.startswith(_BUSY)],
        ),
        *outside("base URL or console silent", ran.watched.silent),
        *outside("not ready", ran.watched.not_ready),
        *outside("503 to the hostile client", ran.attacks.unavailable),
        # Within a kill: a connection that broke off before its answer is the gateway's 502.
        *outside("another 5xx to the hostile client", ran.attacks.server_errors),
        *_listed("given up by HTTP clients", [f.what for f in ran.http.given_up]),
        *_listed("wrong HTTP answers", ran.http.wrong),
        *_listed("no end within 30 s", [what for _, what in ran.attacks.hung]),
        *_listed("not in OpenAI's shape", [f.what for f in ran.http.failures if "shape" in f.what]),
    ]
    busy = [f for f in ran.http.failures if f.what.startswith(_BUSY)]
    row.missed += _listed("refused as too many at once", [f.what for f in busy])
    grown = growth(ran.watched, ran.quiet_since)
    row.problems += [
        f"{g.part} grew from {g.first:.0f} to {g.last:.0f} MiB ({g.per_hour:+.0f} MiB an hour)"
        for g in grown
        if not g.flat
    ]
    row.events = len(ran.traffic.requests) + len(ran.http.answered)
    row.faults = len(ran.kills) + sum(producer.written.values())
    row.faults += sum(ran.attacks.statuses.values())
    row.figures |= _figures(log, ran, producer)
    return grown


def _outcomes(log: EventLog, ran: Ran, producer: HostileProducer) -> list[Count]:
    found = [(e.subject, e.id) for e in log.of(InferenceCompleted, InferenceRejected)]
    answered = {subject for subject, _ in found}
    refused = {e.subject for e in log.of(InferenceRejected)}
    wanted_refusal = {r for r, asked in ran.traffic.requests.items() if asked.refused}
    wrong = refused.symmetric_difference(wanted_refusal) & set(ran.traffic.requests)
    return [
        count("Kafka request → outcome", ran.traffic.requests, found),
        count("answered HTTP request → outcome", ran.http.answered, found),
        count("hostile but valid request → outcome", producer.must_be_answered, found),
        Count("Kafka request → the right outcome", len(ran.traffic.requests), tuple(sorted(wrong))),
        Count(
            "aborted request → no outcome",
            expected=len(producer.must_not_be_answered),
            twice=tuple(set(producer.must_not_be_answered) & answered),
        ),
    ]


async def _captured(stack: FaultStack, ran: Ran) -> list[Count]:
    table = await table_rows(stack.storage, "traffic", ASKED, "request_id")
    captured = rows(str(name) for (name,) in table)
    return [
        count("Kafka outcome → row in traffic", ran.traffic.requests, captured),
        count("HTTP outcome → row in traffic", ran.http.answered, captured),
    ]


class _Outside:
    """Keeps what happened outside the time that a killed part may need to come back."""

    def __init__(self, plan: Plan, ran: Ran) -> None:
        self._windows = [(at - 1.0, at + plan.kill_window) for at, _ in ran.kills]

    def __call__(self, what: str, found: Iterable[tuple[float, str]]) -> list[str]:
        left = [text for at, text in found if not any(a <= at <= b for a, b in self._windows)]
        return _listed(f"{what} outside a kill", left)


def _listed(what: str, found: Sequence[str]) -> list[str]:
    return [f"{what}: {len(found)} ({', '.join(sorted(set(found))[:_SHOWN])})"] if found else []


def _figures(log: EventLog, ran: Ran, producer: HostileProducer) -> dict[str, Any]:
    ordered = sorted(ran.http.latencies) or [0.0]
    return {
        "HTTP p50 ms": round(ordered[len(ordered) // 2] * 1000),
        "HTTP p99 ms": round(ordered[int(len(ordered) * 0.99)] * 1000),
        "HTTP attempts repeated": len(ran.http.failures),
        "kills": len(ran.kills),
        "dead letters": len({letter.origin for letter in log.dead_letters}),
        "hostile records": dict(producer.written),
        "hostile HTTP": dict(ran.attacks.statuses),
        "memory MiB": {
            name: [(round(at - ran.began), round(size)) for at, size in samples[::12]]
            for name, samples in ran.watched.memory.items()
        },
    }
