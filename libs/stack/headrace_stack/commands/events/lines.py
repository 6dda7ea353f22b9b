"""Events as lines for people: a sentence each, and one line for each job under way."""

import sys
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from headrace_events.progress import Progress, ended_job, progress_of
from headrace_stack.commands.output import printable
from headrace_stack.event_tail import Seen

_SHARE = 0.1
"""Without a terminal, progress is told at each tenth of a job."""


def line(seen: Seen) -> str:
    """Return the event in one line: time, type, workload, sentence."""
    attributes = seen.event.attributes
    at = datetime.fromisoformat(str(attributes["time"])).astimezone()
    told = seen.sentence or str(attributes.get("subject") or "")
    return (
        f"{at:%H:%M:%S.%f}"[:12]
        + f"  {printable(seen.event.type):28} {printable(attributes['workload']):20} "
        + printable(told)
    ).rstrip()


class Tenths:
    """Lets of each job's progress only some through: without a terminal each is a line."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def passes(self, progress: Progress) -> bool:
        """Whether the job moved by a tenth since what was told last, or is through."""
        share = progress.done / max(progress.of, 1)
        before = self._told.get(progress.job)
        if before is not None and before <= share < min(before + _SHARE, 1.0):
            return False
        self._told[progress.job] = share
        return True

    def forget(self, job: str) -> None:
        """Forget a job that has ended."""
        self._told.pop(job, None)


class Printer:
    """Prints events; on a terminal the jobs under way stay at the bottom and move."""

    def __init__(
        self, *, fold: bool, console: Console | None = None,
        echo: Callable[[str], None] = typer.echo,
    ) -> None:  # fmt: skip
        self._fold = fold
        self._echo = echo
        self._tenths = Tenths()
        self._moving: dict[str, str] = {}
        console = console or Console()
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        if self._live:
            self._live.stop()
        sys.stdout.flush()

    def show(self, seen: Seen, *more: str) -> None:
        """Print one event, and `more` lines that belong to it."""
        data = seen.data
        progress = progress_of(data) if data and self._fold else None
        if progress is None:
            self._end(ended_job(data) if data else None)
            self._print("\n".join((line(seen), *more)))
        elif self._live:
            self._moving[progress.job] = line(seen)
            self._refresh(self._live)
        elif self._tenths.passes(progress):
            self._print("\n".join((line(seen), *more)))

    def _end(self, job: str | None) -> None:
        if job is None:
            return
        self._tenths.forget(job)
        if (last := self._moving.pop(job, None)) and self._live:
            self._refresh(self._live)
            self._print(last)

    def _print(self, text: str) -> None:
        if self._live:
            self._live.console.print(Text(text), soft_wrap=True)
        else:
            self._echo(text)

    def _refresh(self, live: Live) -> None:
        rows = [Text(text, style="cyan", no_wrap=True, overflow="ellipsis")
                for text in self._moving.values()]  # fmt: skip
        live.update(Group(*rows), refresh=True)
