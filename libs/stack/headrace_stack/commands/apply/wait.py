"""Waits until a workload reaches a stage after a manifest was applied."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from headrace_stack.commands.api import Api, Refused, Unanswered

REACHED, OTHERWISE, LATE = 0, 5, 6
_LOOK_SECONDS = 1.0
_REPEAT_SECONDS = 10.0
_TAKEN_IN_SECONDS = 10.0
"""After so long ingest has heard of the manifest: what is not queued then will not be read."""
_ENDED = ("refused", "failed")
_RESTS = ("serving", "waiting", "landing", *_ENDED)
_SPAN = re.compile(r"(\d{1,6})([smh]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_NOT_FOUND = 404


class Stage(StrEnum):
    """What can be waited for, in the order in which it comes."""

    LANDED = "landed"
    CURATED = "curated"
    TRAINED = "trained"
    EVALUATED = "evaluated"
    APPROVED = "approved"
    CANARY = "canary"
    PROMOTED = "promoted"


@dataclass(frozen=True, slots=True)
class End:
    """How the waiting ended: the exit code, and why."""

    code: int
    why: str


def seconds(text: str) -> float:
    """`90s`, `30m`, `2h`, or seconds."""
    found = _SPAN.fullmatch(text)
    if not found:
        raise typer.BadParameter("give `90s`, `30m` or `2h`", param_hint="--timeout")
    return int(found[1]) * _UNITS[found[2]]


def until(api: Api, name: str, applied: datetime, stage: Stage, limit: float) -> int:
    """Wait; show the workload's sentence meanwhile. Return the exit code."""
    start = time.monotonic()
    last: dict[str, Any] | None = None
    with _shown() as show:
        while True:
            found = _look(api, name)
            if found is not None:
                last = found
                show(found)
                waited = time.monotonic() - start
                if ended := _ended(api, found, applied, stage, waited):
                    break
            if time.monotonic() - start >= limit:
                now = f"It is: {last['sentence']}." if last else "Its state is not known."
                ended = End(LATE, f"{name} was not {stage} in {limit:.0f} s. {now}")
                break
            time.sleep(_LOOK_SECONDS)
    typer.echo(ended.why, err=ended.code != REACHED)
    return ended.code


def _look(api: Api, name: str) -> dict[str, Any] | None:
    """GET /workloads/{name}; None while monitor does not know it, or is being started again."""
    try:
        found: dict[str, Any] = api.get("workloads", name)
    except Unanswered:
        return None
    except Refused as error:
        if error.status != _NOT_FOUND:
            raise
        return None
    return found


def _ended(
    api: Api, found: dict[str, Any], applied: datetime, stage: Stage, waited: float
) -> End | None:
    if not _after(found["applied_at"], applied):
        return None  # monitor has not taken the manifest in yet
    name, sentence, step = found["name"], found["sentence"], found["step"]
    if _after(found["reached"].get(stage), applied):
        return End(REACHED, f"{name} is {stage}. {sentence}.")
    if found["stage"] in _ENDED and _after(found["since"], applied):
        advice = f"\nYou can: {step}" if step else ""
        return End(OTHERWISE, f"{name} was not {stage}. {sentence}.{advice}")
    if found["stage"] in _RESTS and _nothing_new(api, found, applied, waited):
        if found["stage"] == "serving" and stage in found["reached"]:
            return End(REACHED, f"{name} has nothing new in its sources. {sentence}.")
        why = f"its sources hold nothing new. {sentence}."
        return End(OTHERWISE, f"{name} was not {stage}: {why}")
    return None


def _after(moment: str | None, applied: datetime) -> bool:
    return moment is not None and datetime.fromisoformat(moment) >= applied


def _nothing_new(api: Api, found: dict[str, Any], applied: datetime, waited: float) -> bool:
    """Whether no turn will begin: every source was read and none had a row that was new."""
    decided = found["decisions"][:1]
    if decided and decided[0]["event"] == "dataset.rejected" and _after(decided[0]["at"], applied):
        return True
    if waited < _TAKEN_IN_SECONDS or _after(found["reached"].get("landed"), applied):
        return False
    sources = api.get("sources", workload=found["name"])["data"]
    return all(one["state"] != "queued" for one in sources)


@contextmanager
def _shown() -> Iterator[Any]:
    """Yield what shows a workload: a bar on a terminal, else a line when something changed."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[detail]}"),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Applied", total=None, detail="")

        def show(found: dict[str, Any]) -> None:
            part = found["progress"]
            progress.update(
                task,
                description=escape(found["title"]),
                detail=escape(found["detail"]),
                total=None if part is None else 1.0,
                completed=part or 0.0,
            )

        yield show


class _Lines:
    """A line for each new title, and for a new detail at most each ten seconds."""

    def __init__(self) -> None:
        self._title = self._sentence = ""
        self._at = 0.0

    def __call__(self, found: dict[str, Any]) -> None:
        changed = found["title"] != self._title
        late = time.monotonic() - self._at >= _REPEAT_SECONDS
        if changed or (late and found["sentence"] != self._sentence):
            typer.echo(found["sentence"], err=True)
            self._title, self._sentence = found["title"], found["sentence"]
            self._at = time.monotonic()
