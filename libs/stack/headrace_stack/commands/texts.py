"""Texts of people in a table: on one line, cut to the terminal; whole where nobody looks on."""

import shutil
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from headrace_stack.commands.output import Column

_OTHER_COLUMNS = 60
"""Characters that the columns without text take, about."""
_LEAST = 24

ShowText = Annotated[
    bool, typer.Option("--show-text", help="With the text of the rows, which may be personal.")
]


def text_columns(**texts: Callable[[Any], str | None]) -> tuple[Column, ...]:
    """Return a column for each text, by its title."""
    width = _room(len(texts))
    return tuple(_column(title, text, width) for title, text in texts.items())


def _column(title: str, text: Callable[[Any], str | None], width: int | None) -> Column:
    return Column(title, lambda row: on_one_line(text(row), width))


def on_one_line(text: str | None, width: int | None) -> str | None:
    """Return a text without line breaks, of at most `width` characters."""
    if text is None:
        return None
    line = text.replace("\r\n", "\n").replace("\n", "⏎").replace("\r", "⏎")
    return line if width is None or len(line) <= width else line[: width - 1] + "…"


def _room(share: int) -> int | None:
    if not sys.stdout.isatty():
        return None
    return max(_LEAST, (shutil.get_terminal_size().columns - _OTHER_COLUMNS) // max(1, share))
