"""`headrace chat NAME`."""

import secrets
import sys
from collections.abc import Iterator

import typer

from headrace_stack.commands.api import Refused, connect
from headrace_stack.commands.ask import MostTokens, Name, Version
from headrace_stack.commands.completions import PATIENCE_SECONDS, Turn, check, stream

_PROMPT = "> "
_KEPT = {"\n", "\t"}


def chat(name: Name, version: Version = None, max_tokens: MostTokens = None) -> None:
    """Talk with a workload, or with one of its versions; Ctrl-D ends it.

    What was said goes with each turn. From a pipe each line is a turn.
    """
    api = connect(seconds=PATIENCE_SECONDS)
    # Before anything is typed: is there such a workload, such a version?
    check(api, name, version)
    talking = sys.stdin.isatty()
    refused: Refused | None = None
    said: list[Turn] = []
    # One for all turns: they stay on one side of a canary.
    key = f"chat-{secrets.token_hex(8)}"
    for line in _turns(talking=talking):
        turns = [*said, {"role": "user", "content": line}]
        try:
            reply = stream(api, name, turns, _show, version=version, max_tokens=max_tokens, key=key)
        except Refused as error:
            # Of this turn: the conversation goes on without it.
            typer.echo(f"(refused) {error}", err=True)
            refused = error
            continue
        except KeyboardInterrupt:
            if not talking:
                raise
            typer.echo("\n(stopped)", err=True)
            continue
        typer.echo()
        if talking:
            typer.echo(f"({reply.model}, {reply.latency_ms:,.0f} ms)", err=True)
        said = [*turns, {"role": "assistant", "content": reply.text}]
    if talking:
        typer.echo()
    elif refused:
        raise typer.Exit(refused.exit_code)


def _turns(*, talking: bool) -> Iterator[str]:
    """What is typed, or the lines of a pipe, without empty ones."""
    while True:
        try:
            line = input(_PROMPT) if talking else sys.stdin.readline()
        except EOFError:
            return
        if not talking and not line:
            return
        if line := line.strip():
            yield line


def _show(piece: str) -> None:
    shown = "".join(
        c if c.isprintable() or c in _KEPT else "\N{REPLACEMENT CHARACTER}" for c in piece
    )
    typer.echo(shown, nl=False)
    sys.stdout.flush()
