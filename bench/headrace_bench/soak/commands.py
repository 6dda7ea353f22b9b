"""`soak`: a progress bar, two tables, JSON."""

import asyncio
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from headrace_bench import results
from headrace_bench.faults.report import Row, effects_table
from headrace_bench.faults.report import table as rows_table
from headrace_bench.soak.plan import SHORT, Plan
from headrace_bench.soak.run import run
from headrace_bench.soak.watch import Growth
from headrace_stack import views


def register(app: typer.Typer) -> None:
    """Put the command into `app`."""
    app.command(
        epilog="Examples: `python -m headrace_bench soak`, "
        "`python -m headrace_bench soak --short`, `python -m headrace_bench soak --minutes 20`"
    )(soak)


def soak(
    minutes: Annotated[float | None, typer.Option(help="How long; an hour if not said.")] = None,
    short: Annotated[bool, typer.Option("--short", help="Four minutes, each killed once.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Leave the stack's folder here.")] = None,
) -> None:
    """Send good and hostile traffic both ways in and kill services; exit code 1 when it shows."""
    console = views.console()
    plan = SHORT if short else Plan()
    if minutes:
        plan = replace(plan, seconds=minutes * 60)
    if keep and (keep / "soak").exists():
        raise typer.BadParameter(f"{keep} holds an earlier run: name an empty folder for --keep")
    root = keep or Path(tempfile.mkdtemp(prefix="headrace-soak-"))
    row, grown = _run(console, root / "soak", plan)
    console.print(effects_table(row))
    console.print(_memory(grown))
    console.print(rows_table([row]))
    if not row.passed:
        console.print(f"[red]failed[/]\n{row.explain()}", highlight=False)
        console.print(f"The stack's folder is kept in {root}", soft_wrap=True)
    elif not keep:
        shutil.rmtree(root, ignore_errors=True)
    content = {"plan": asdict(plan), "row": row.to_json(), "growth": [asdict(g) for g in grown]}
    console.print(f"Written to {results.save('soak', content)}")
    if not row.passed:
        raise typer.Exit(1)


def _run(console: Console, home: Path, plan: Plan) -> tuple[Row, list[Growth]]:
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=1.0)

        def say(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)

        return asyncio.run(run(home, plan, say))


def _memory(grown: list[Growth]) -> Table:
    shown = Table(title="Resident memory after the last kill, MiB", header_style="bold")
    shown.add_column("part")
    for name in ("first third", "last third", "per hour"):
        shown.add_column(name, justify="right")
    for one in grown:
        style = "" if one.flat else "bold red"
        cells = (one.part, f"{one.first:.0f}", f"{one.last:.0f}", f"{one.per_hour:+.0f}")
        shown.add_row(*cells, style=style)
    return shown
