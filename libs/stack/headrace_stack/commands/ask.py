"""`headrace ask NAME QUESTION`."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import Annotated, Any

import typer

from headrace_stack.commands.api import connect
from headrace_stack.commands.completions import PATIENCE_SECONDS, Reply, complete
from headrace_stack.commands.names import completing
from headrace_stack.commands.output import Format, Lines, Output, printable, show

Name = Annotated[
    str, typer.Argument(help="The workload's name.", autocompletion=completing("models"))
]
Question = Annotated[str, typer.Argument(help="What to ask; `-` reads it from the input.")]
Version = Annotated[
    str | None,
    typer.Option(
        "--version",
        help="The version that shall answer, `base` for the base model. Such a request counts in "
        "no canary and no objective; without it, it is one like a product's.",
    ),
]
Compare = Annotated[
    str | None,
    typer.Option("--compare", help="Ask each of these versions: `1,base`.", metavar="V,V..."),
]
MostTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="At most so long an answer.")
]
ShowTrace = Annotated[
    bool, typer.Option("--show-trace", help="Where the trace of each answer can be seen.")
]

_NARROWEST = 24
_GAP = "   "


def ask(
    name: Name,
    question: Question,
    version: Version = None,
    compare: Compare = None,
    max_tokens: MostTokens = None,
    show_trace: ShowTrace = False,
    output: Output = Format.TABLE,
) -> None:
    """Ask a workload, one of its versions, or several of them side by side."""
    if version is not None and compare is not None:
        raise typer.BadParameter("give --version or --compare, not both")
    versions = _versions(compare) if compare is not None else [version]
    text = sys.stdin.read() if question == "-" else question
    if not text.strip():
        raise typer.BadParameter("the question is empty")
    api = connect(seconds=PATIENCE_SECONDS)
    turns = [{"role": "user", "content": text}]
    # One after the other: side by side they would wait for each other in the engine.
    replies = [complete(api, name, turns, version=one, max_tokens=max_tokens) for one in versions]
    blocks = [_block(reply, show_trace=show_trace) for reply in replies]
    if len(blocks) > 1 and sys.stdout.isatty():
        lines = side_by_side(blocks, shutil.get_terminal_size().columns)
    else:
        lines = [line for block in blocks for line in ("", *block)][1:]
    found: Any = [reply.figures() for reply in replies]
    thing = found if compare is not None else found[0]
    show(lambda: (thing, Lines(tuple(lines))), output, name="model")


def _versions(compare: str) -> list[str]:
    found = list(dict.fromkeys(one.strip() for one in compare.split(",") if one.strip()))
    if len(found) < 2:
        raise typer.BadParameter("name two versions or more: `--compare 1,base`")
    return found


def _block(reply: Reply, *, show_trace: bool) -> list[str]:
    """Who answered, how fast, and what."""
    tokens = "" if reply.output_tokens is None else f", {reply.output_tokens} tokens"
    head = [
        f"{printable(reply.model)} ({printable(reply.arm)}), {reply.latency_ms:,.0f} ms{tokens}"
    ]
    if show_trace:
        head.append(f"trace {printable(reply.trace_id)}")
        head += [reply.trace_url] if reply.trace_url else []
    if reply.finish_reason == "content_filter":
        return [*head, "(a check of the output refused the answer)"]
    return [*head, *(printable(line) if line else "" for line in _lines(reply.text))]


def _lines(text: str) -> list[str]:
    return text.expandtabs().splitlines() or ["(an empty answer)"]


def side_by_side(blocks: Sequence[Sequence[str]], width: int) -> list[str]:
    """Blocks as columns of a terminal; below each other where it is too narrow."""
    each = (width - len(_GAP) * (len(blocks) - 1)) // len(blocks)
    if each < _NARROWEST:
        return [line for block in blocks for line in ("", *block)][1:]
    columns = [
        [part for line in block for part in textwrap.wrap(line, each) or [""]] for block in blocks
    ]
    return [
        _GAP.join(cell.ljust(each) for cell in row).rstrip()
        for row in zip_longest(*columns, fillvalue="")
    ]
