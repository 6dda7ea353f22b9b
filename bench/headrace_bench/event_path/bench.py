"""The rounds: ours with an empty policy, ours with the default one, the peer, and again."""

import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from headrace_bench.event_path import cpu, gateway_peer
from headrace_bench.event_path.headrace_side import PARTS, WORKLOADS, Client
from headrace_bench.event_path.load import Ask, Measured, as_fast_as_it_goes, at_rate
from headrace_bench.event_path.processes import python_module
from headrace_bench.faults.groups import Groups
from headrace_bench.faults.stack import ENVIRONMENT
from headrace_stack.ports import free_port
from headrace_stack.stack import Stack

Say = Callable[[str, float], None]
PEER = "mlflow-gateway"
TEXT = (
    "My new card has not arrived although you told me last week that it was on its way. Can you "
    "find out where the parcel is, send a new one if it was lost, and tell me whether the old card "
    "can still be used in the meantime? I would also like to know what a second card costs."
)
"""About 60 words: an ordinary question without personal data."""


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int = 3
    seconds: float = 15.0
    under_way: int = 512
    rate: float = 100.0
    rate_seconds: float = 15.0
    peer: bool = True
    peer_under_way: int = 32


@dataclass
class Side:
    """The rounds of one contestant."""

    name: str
    throughput: list[Measured] = field(default_factory=list)
    paced: list[Measured] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Median over the rounds."""
        return statistics.median(m.per_second for m in self.throughput)

    def latency(self, share: float) -> float | None:
        """Median over the paced rounds of one quantile, in milliseconds."""
        found = [m.quantile(share) for m in self.paced]
        return statistics.median(found) if found else None


async def run(home: Path, plan: Plan, say: Say) -> list[Side]:
    """Start both sides, alternate, return what was measured."""
    sides = [Side(name) for name in (*WORKLOADS, *([PEER] if plan.peer else []))]
    say("starting the stack", 0.0)
    with _ours(home) as (stack, sink):
        say("starting the peer", 0.05)
        async with _contestants(home, stack, plan) as asks:
            for name, ask in asks.items():
                say(f"warming {name}", 0.1)
                await as_fast_as_it_goes(ask, 3.0, 16)
            for number in range(plan.rounds):
                for place, side in enumerate(sides):
                    done = (number * len(sides) + place) / (plan.rounds * len(sides))
                    say(f"round {number + 1}, {side.name}", 0.1 + 0.9 * done)
                    await _round(side, asks[side.name], plan, stack, sink)
    return sides


async def _round(side: Side, ask: Ask, plan: Plan, stack: Stack, sink: str) -> None:
    ours = side.name in WORKLOADS
    under_way = plan.under_way if ours else plan.peer_under_way
    spans = _spans(sink) if ours else 0
    await _at_rest(side)
    before = cpu.seconds(stack)
    side.throughput.append(await as_fast_as_it_goes(ask, plan.seconds, under_way))
    if ours:
        answered = max(side.throughput[-1].requests, 1)
        side.figures["CPU ms per request"] = cpu.per_request(before, cpu.seconds(stack), answered)
        behind, seconds = await _settled(stack)
        side.figures.setdefault("capture behind", []).append(behind)
        side.figures.setdefault("capture caught up s", []).append(round(seconds, 1))
        side.figures["spans per request"] = round((_spans(sink) - spans) / answered, 1)
    await _at_rest(side)
    side.paced.append(await at_rate(ask, plan.rate_seconds, plan.rate))
    if ours:
        await _settled(stack)


async def _at_rest(side: Side) -> None:
    if not await cpu.at_rest():
        side.figures["rounds on a busy machine"] = (
            side.figures.get("rounds on a busy machine", 0) + 1
        )


async def _settled(stack: Stack) -> tuple[int, float]:
    """Wait until the capture has caught up; how far it was behind, and for how long."""
    state = stack.state()
    assert state is not None  # noqa: S101 - it runs while the bench does
    started = time.monotonic()
    first: int | None = None
    async with Groups(state.kafka) as groups:
        while True:
            behind = sum((await groups.by_service()).values())
            first = behind if first is None else first
            if not behind:
                break
            await asyncio.sleep(0.25)
    await asyncio.sleep(2.5)  # the last spans leave two seconds later
    return first, time.monotonic() - started - 2.5


def _spans(sink: str) -> int:
    with urlopen(f"{sink}/count") as answer:  # noqa: S310 - our own address
        return int(json.load(answer)["spans"])


@contextmanager
def _ours(home: Path) -> Iterator[tuple[Stack, str]]:
    port = free_port()
    sink = f"http://127.0.0.1:{port}"
    wanted = {
        **ENVIRONMENT,
        "HEADRACE_TELEMETRY__OTLP_ENDPOINT": sink,
        "HEADRACE_TELEMETRY__TRACES_PER_SECOND": "1000000",
    }
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        with (
            python_module(
                "headrace_bench.event_path.span_sink", "--port", str(port),
                ready=f"{sink}/count", log=home / "logs" / "sink.log",
            ),
            Stack(home / "stack", only=PARTS, without=("ray", "mlflow")) as stack,
        ):  # fmt: skip
            yield stack, sink
    finally:
        os.environ.clear()
        os.environ.update(before)


@asynccontextmanager
async def _contestants(home: Path, stack: Stack, plan: Plan) -> AsyncIterator[dict[str, Ask]]:
    state = stack.state()
    assert state is not None  # noqa: S101 - it has just started
    async with Client(state.kafka, TEXT).running() as client:
        await client.apply()
        asks = {name: client.asking(name) for name in WORKLOADS}
        if not plan.peer:
            yield asks
            return
        with gateway_peer.mlflow_gateway(home / "peer") as url:
            async with gateway_peer.asking(url, TEXT, 1024) as ask:
                yield {**asks, PEER: ask}
                if not await asyncio.to_thread(gateway_peer.traces, url):
                    raise RuntimeError("the gateway wrote no traces: it was not traced")
        if client.rejected:
            raise RuntimeError(f"{client.rejected} requests were rejected")
