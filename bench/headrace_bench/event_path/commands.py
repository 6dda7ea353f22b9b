"""`event-path`: run the rounds, print one table, write it as JSON."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from headrace_bench import results
from headrace_bench.event_path import bench
from headrace_bench.event_path.bench import PEER, Plan, Side
from headrace_stack import views

_TARGETS = {"bench-empty": 2000.0, "bench-default": 1000.0}
_P50_MS, _P99_MS, _TIMES = 12.0, 50.0, 10.0


def register(app: typer.Typer) -> None:
    """Put the command into `app`."""
    app.command(
        "event-path",
        epilog="Examples: `python -m headrace_bench event-path`, "
        "`python -m headrace_bench event-path --rounds 1 --seconds 5 --no-peer`",
    )(event_path)


def event_path(
    rounds: Annotated[int, typer.Option(min=1, help="Alternating rounds of each side.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="Length of a round at full load.")] = 15.0,
    under_way: Annotated[int, typer.Option(min=1, help="Requests open at full load.")] = 512,
    peer: Annotated[bool, typer.Option(help="Measure MLflow's AI Gateway as well.")] = True,
) -> None:
    """Requests per second and latency over Kafka, traced and captured, beside MLflow's gateway."""
    console = views.console()
    plan = Plan(
        rounds=rounds, seconds=seconds, under_way=under_way, rate_seconds=seconds, peer=peer
    )
    with (
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as home,
        Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
        ) as progress,
    ):
        task = progress.add_task("", total=1.0)

        def say(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)

        sides = asyncio.run(bench.run(Path(home), plan, say))
    console.print(_table(sides, plan))
    missed = _missed(sides)
    for line in missed:
        console.print(f"[yellow]target missed:[/] {line}")
    content = {"plan": vars(plan), "sides": [_to_json(s) for s in sides], "missed": missed}
    console.print(f"Written to {results.save('event-path', content)}")


def _table(sides: list[Side], plan: Plan) -> Table:
    shown = Table(title="event path", header_style="bold")
    shown.add_column("side")
    for name in ("req/s (median)", "rounds", f"p50 ms at {plan.rate:.0f}/s", "p99 ms", "× peer"):
        shown.add_column(name, justify="right")
    shown.add_column("remarks")
    by_name = {side.name: side for side in sides}
    for side in sides:
        times = side.per_second / by_name[PEER].per_second if PEER in by_name else None
        shown.add_row(
            side.name,
            f"{side.per_second:,.0f}",
            " ".join(f"{m.per_second:,.0f}" for m in side.throughput),
            f"{side.latency(0.5):.1f}",
            f"{side.latency(0.99):.1f}",
            f"{times:.1f}" if times else "",
            "\n".join(f"{name}: {value}" for name, value in side.figures.items()),
        )
    return shown


def _missed(sides: list[Side]) -> list[str]:
    found = []
    by_name = {side.name: side for side in sides}
    for name, target in _TARGETS.items():
        side = by_name[name]
        if side.per_second < target:
            found.append(f"{name}: {side.per_second:,.0f} req/s, target {target:,.0f}")
        for share, most in ((0.5, _P50_MS), (0.99, _P99_MS)):
            latency = side.latency(share) or 0.0
            if latency > most:
                found.append(f"{name}: p{share * 100:.0f} {latency:.1f} ms, target {most:.0f}")
        if PEER in by_name and side.per_second < _TIMES * by_name[PEER].per_second:
            times = side.per_second / by_name[PEER].per_second
            found.append(f"{name}: {times:.1f} × MLflow's gateway, target {_TIMES:.0f}")
    return found


def _to_json(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "per_second": round(side.per_second, 1),
        "rounds": [round(m.per_second, 1) for m in side.throughput],
        "p50_ms": side.latency(0.5),
        "p99_ms": side.latency(0.99),
        "paced_rounds": [
            {"p50_ms": m.quantile(0.5), "p99_ms": m.quantile(0.99), "requests": m.requests}
            for m in side.paced
        ],
        "figures": side.figures,
    }
