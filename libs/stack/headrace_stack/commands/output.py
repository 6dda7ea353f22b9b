"""What commands print: aligned columns for people, JSON or YAML for programs, names for pipes."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

_GAP = "  "
_LOOK_SECONDS = 2.0


class Format(StrEnum):
    """Forms of an answer."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Output = Annotated[Format, typer.Option("--output", "-o", help="The form of the answer.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Again and again; Ctrl-C ends it.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, and its text for one row."""

    title: str
    text: Callable[[Any], object]
    right: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """Text for people, line by line."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A list for people; `empty` stands where nothing is there."""

    columns: Sequence[Column]
    rows: Sequence[Any]
    empty: str


Page = Lines | Rows


def printable(value: object) -> str:
    """Text on one line that moves no cursor and changes no colour; a dash for nothing."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def figure(value: float | None, digits: int = 3) -> str:
    """A number that a person reads: never in powers of ten."""
    return "-" if value is None else f"{value:,.{digits}f}"


def show(answer: Callable[[], tuple[Any, Page]], form: Format, *, name: str = "name",
         watch: bool = False) -> None:  # fmt: skip
    """Print what `answer` returns: the thing as it came, and the page for people.

    `name` is the key that `-o name` prints. `watch` goes on until Ctrl-C or the stack is gone.
    """
    if not watch:
        _print(_text(*answer(), form, name))
        return
    terminal = Console()
    if terminal.is_terminal and form is Format.TABLE:
        with Live(console=terminal, auto_refresh=False) as live:
            while True:
                _, page = answer()
                live.update(_rich(page), refresh=True)
                time.sleep(_LOOK_SECONDS)
    last = ""
    while True:
        text = _text(*answer(), form, name)
        if text != last:
            _print(text)
        last = text
        time.sleep(_LOOK_SECONDS)


def _print(text: str) -> None:
    if text:
        typer.echo(text)


def _text(thing: Any, page: Page, form: Format, name: str) -> str:
    if form is Format.JSON:
        return json.dumps(thing, indent=2, ensure_ascii=False)
    if form is Format.YAML:
        return str(yaml.safe_dump(thing, sort_keys=False, allow_unicode=True)).rstrip()
    if form is Format.NAME:
        things = thing if isinstance(thing, list) else [thing]
        return "\n".join(printable(one[name]) for one in things)
    return plain(page)


def plain(page: Page) -> str:
    """The page without colours and frames."""
    if isinstance(page, Lines):
        return "\n".join(page.lines)
    if not page.rows:
        return page.empty
    cells = [[column.title.upper() for column in page.columns]]
    cells += [[printable(column.text(row)) for column in page.columns] for row in page.rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(page.columns))]
    return "\n".join(
        _GAP.join(
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, page.columns, strict=True)
        ).rstrip()
        for line in cells
    )


def _rich(page: Page) -> Table | str:
    if isinstance(page, Lines):
        return escape("\n".join(page.lines))
    if not page.rows:
        return escape(page.empty)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in page.columns:
        table.add_column(column.title.upper(), justify="right" if column.right else "left")
    for row in page.rows:
        table.add_row(*(escape(printable(column.text(row))) for column in page.columns))
    return table
