"""`faults`: run the suite with a progress bar, print one table, write it as JSON."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from headrace_bench import results
from headrace_bench.faults import kills, outages, poison
from headrace_bench.faults.report import Row, effects_table, table
from headrace_stack import views

Run = Callable[[Path, kills.Progress], Awaitable[Row]]

FAULTS: dict[str, tuple[Run, Run]] = {
    # name: (in full, in short)
    "kills": (
        lambda home, say: kills.run(home, kills.Plan(), say),
        lambda home, say: kills.run(home, kills.SHORT, say),
    ),
    "kafka-stopped": (
        lambda home, say: outages.run_frozen(home, outages.Plan(), say),
        lambda home, say: outages.run_frozen(home, outages.Plan(frozen_seconds=10), say),
    ),
    "kafka-restarts": (
        lambda home, say: outages.run_restarts(home, outages.Plan(), say),
        lambda home, say: outages.run_restarts(home, outages.Plan(restarts=2), say),
    ),
    "poison-1": (
        lambda home, say: poison.run_one_percent(home, poison.Plan(), say),
        lambda home, say: poison.run_one_percent(home, poison.SHORT, say),
    ),
    "poison-100": (
        lambda home, say: poison.run_all(home, poison.Plan(), say),
        lambda home, say: poison.run_all(home, poison.SHORT, say),
    ),
}


def register(app: typer.Typer) -> None:
    """Put the command into `app`."""
    app.command(
        epilog="Examples: `python -m headrace_bench faults`, "
        "`python -m headrace_bench faults --only kills,poison-1 --short --details`"
    )(faults)


def faults(
    only: Annotated[
        str | None, typer.Option(help=f"Only these: {', '.join(FAULTS)}; with commas between.")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="A few kills and events.")] = False,
    details: Annotated[
        bool, typer.Option("--details", help="Also what was counted for each fault.")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Leave the stacks' folders (logs, databases) here.")
    ] = None,
) -> None:
    """Kill and restart the real stack under load and count by id. Exit code 1 when one fails."""
    console = views.console()
    names = [name.strip() for name in only.split(",")] if only else list(FAULTS)
    unknown = sorted(set(names) - set(FAULTS))
    if unknown:
        raise typer.BadParameter(f"no fault is called {', '.join(unknown)}: {', '.join(FAULTS)}")
    if keep and any((keep / name).exists() for name in names):
        # What an earlier run stored would be counted as effects of this one.
        raise typer.BadParameter(f"{keep} holds an earlier run: name an empty folder for --keep")
    root = keep or Path(tempfile.mkdtemp(prefix="headrace-faults-"))
    rows = _run_all(console, names, root, short=short)
    if not keep and all(row.passed for row in rows):
        shutil.rmtree(root, ignore_errors=True)
    elif not all(row.passed for row in rows):
        console.print(f"The stacks' folders are kept in {root}", soft_wrap=True)
    if details:
        for row in rows:
            console.print(effects_table(row))
    console.print(table(rows))
    for row in rows:
        if not row.passed:
            console.print(f"[red]{row.fault}[/]\n{row.explain()}", highlight=False)
    path = results.save("faults", {"short": short, "rows": [row.to_json() for row in rows]})
    console.print(f"Written to {path}")
    if not all(row.passed for row in rows):
        raise typer.Exit(1)


def _run_all(console: Console, names: list[str], root: Path, *, short: bool) -> list[Row]:
    rows: list[Row] = []
    columns = (
        SpinnerColumn(), TextColumn("{task.fields[name]}"), BarColumn(),
        TextColumn("{task.description}"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        for name in names:
            task = progress.add_task("", name=name, total=1.0)

            def say(what: str, share: float, task: int = task) -> None:
                progress.update(task, description=what, completed=share)  # type: ignore[arg-type]

            run = FAULTS[name][1 if short else 0]
            row = asyncio.run(_one(run, root / name, say))
            rows.append(row)
            verdict = "[green]nothing lost[/]" if row.passed else "[red]failed[/]"
            progress.update(task, description=verdict, completed=1.0)
    return rows


async def _one(run: Run, home: Path, say: kills.Progress) -> Row:
    return await run(home, say)
