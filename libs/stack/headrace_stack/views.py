"""What the terminal shows of a stack."""

import os

from rich.console import Console, Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from headrace_stack.state import Part, State

STYLES = {
    "waiting": "dim",
    "starting": "yellow",
    "ready": "green",
    "not ready": "yellow",
    "restarting": "red",
    "failed": "bold red",
    "stopped": "dim",
    "unknown": "bold red",
}
MIB = 1024 * 1024
PIPE_WIDTH = 120


def console() -> Console:
    """The terminal; a file or a pipe gets lines long enough for the tables."""
    real = Console()
    return real if real.is_terminal or os.environ.get("COLUMNS") else Console(width=PIPE_WIDTH)


def starting(state: State) -> RenderableType:
    """Each part as it comes up."""
    table = Table.grid(padding=(0, 2))
    for part in state.parts:
        going = part.state in ("starting", "restarting")
        mark: RenderableType = Spinner("dots", style="yellow") if going else Text(_mark(part))
        seconds = f"{part.seconds:.1f} s" if part.seconds is not None else ""
        table.add_row(mark, part.name, _state(part), seconds, Text(part.problem, style="red"))
    return Group(Text(f"Headrace in {state.home}", style="bold"), table)


def _mark(part: Part) -> str:
    return {"ready": "✓", "failed": "✗"}.get(part.state, "·")


def _state(part: Part) -> Text:
    return Text(part.state, style=STYLES.get(part.state, ""))


def summary(state: State) -> Table:
    """The one table at the end of `up`: what, where, how."""
    table = Table(title=None, header_style="bold")
    table.add_column("service", no_wrap=True)
    table.add_column("url", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for part in state.parts:
        table.add_row(part.name, part.url, _state(part))
    return table


def status(state: State, memory: dict[str, int]) -> Table:
    """The table of `status`: also process, memory, version, restarts."""
    table = Table(header_style="bold")
    for name in ("service", "url", "state", "pid", "memory", "version", "restarts"):
        right = name in ("pid", "memory", "restarts")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for part in state.parts:
        table.add_row(
            part.name,
            part.url,
            _state(part),
            str(part.pid or ""),
            f"{memory[part.name] / MIB:.0f} MiB",
            part.version,
            str(part.restarts),
        )
    return table


def print_problems(console: Console, state: State) -> None:
    """Why parts were started again."""
    for part in state.parts:
        if part.restarts:
            times = f"{part.restarts} time{'s' if part.restarts > 1 else ''}"
            console.print(
                f"  {part.name} was started again {times}: {part.problem}", highlight=False
            )


def print_addresses(console: Console, state: State) -> None:
    """Where to go from here; long addresses stay whole, to be clicked."""
    for name, address in (
        ("base URL", state.base_url),
        ("Kafka", state.kafka),
        ("MLflow", state.mlflow),
        ("traces", state.traces),
    ):
        if address:
            console.print(f"  {name:9} {address}", highlight=False, soft_wrap=True)
