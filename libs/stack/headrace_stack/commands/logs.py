"""`headrace logs`: for people, merged by time; `--json` for programs."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from headrace_stack import logs
from headrace_stack.commands import times
from headrace_stack.commands.output import printable
from headrace_stack.errors import StackError
from headrace_stack.log_lines import LEVELS, LogChoice, LogLine, details, merged, read
from headrace_stack.paths import default_home
from headrace_stack.services import BY_NAME, ENGINES, GATEWAY

KNOWN = (*BY_NAME, *ENGINES, GATEWAY, "supervisor")
_STYLES = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}
_WIDTH = max(len(name) for name in KNOWN)
Level = StrEnum("Level", {name.upper(): name for name in LEVELS})  # type: ignore[misc] # ours


def show_logs(
    name: Annotated[
        str | None,
        typer.Argument(help="A service, `kafka`, `mlflow`, `ray`, `gateway` or `supervisor`."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", "-n", min=0,
                     help="Old lines of each log; 20, or all with `--since` or `--trace`."),
    ] = None,
    level: Annotated[Level | None, typer.Option(help="Only this level and worse.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what came since: `10m`, `2h`, or ISO 8601.")
    ] = None,
    workload: Annotated[str | None, typer.Option(help="Only what names this workload.")] = None,
    trace: Annotated[
        str | None, typer.Option(help="Only of this trace: its id, or the beginning of it.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line, as the services write them.")
    ] = False,
) -> None:  # fmt: skip
    """Show the logs of one part, or of all merged by time: time, level, part, event, details."""
    home = default_home()
    if name is not None and name not in KNOWN:
        raise StackError(f"There is no log of `{name}`. Logs: {', '.join(KNOWN)}.")
    paths = {one: logs.log_file(home, one) for one in ([name] if name else KNOWN)}
    if not any(path.exists() for path in paths.values()):
        raise StackError(f"No logs in {home / 'logs'}: nothing ran there. Try `headrace up`.")
    choice = LogChoice(
        level.value if level else None, times.since(since) if since else None, workload, trace
    )
    if lines is None:
        lines = logs.ALL_LINES if since or trace else 20
    output = _Output(as_json=as_json)
    for line in _old(paths, lines, choice):
        output.show(line)
    if follow:
        for line in _new(paths):
            if choice.takes(line):
                output.show(line)


def _old(paths: dict[str, Path], lines: int, choice: LogChoice) -> list[LogLine]:
    found = []
    for part, path in paths.items():
        old = logs.whole(path) if choice.whole else logs.tail(path, lines)
        taken = [line for line in read(part, old) if choice.takes(line)]
        found.append(taken[-lines:] if lines else [])
    return merged(found)


def _new(paths: dict[str, Path]) -> Iterator[LogLine]:
    for part, text in logs.follow(paths):
        yield from read(part, [text], begin=datetime.now().astimezone())


class _Output:
    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console()

    def show(self, line: LogLine) -> None:
        if self._as_json:
            typer.echo(line.as_json())
        elif self._console.is_terminal:
            self._console.print(pretty(line), soft_wrap=True)
        else:
            typer.echo(pretty(line).plain)


def pretty(line: LogLine) -> Text:
    """Return the line for people."""
    at = line.at.astimezone()
    today = at.date() == datetime.now().astimezone().date()
    clock = at.strftime("%H:%M:%S.%f")[:12] if at.timestamp() else "-"
    style = _STYLES.get(line.level, "")
    return Text.assemble(
        ((clock if today or not at.timestamp() else f"{at:%m-%d} {clock}").ljust(12), "dim"),
        "  ",
        (f"{line.level.upper():8}", style),
        " ",
        (f"{line.part:{_WIDTH}}", "cyan"),
        "  ",
        (printable(line.event), style),
        ("  " + printable(details(line)) if line.fields else "", "dim"),
    )
