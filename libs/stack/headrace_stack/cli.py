"""The command `headrace`: reads the command line, and prints errors as one clear message."""

import logging
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from headrace_stack import commands as nouns
from headrace_stack import (
    commands_demo,
    commands_dlq,
    commands_replay,
    commands_schemas,
    commands_stack,
)
from headrace_stack.disk import in_words
from headrace_stack.errors import StackError

app = typer.Typer(
    name="headrace",
    help="The life of a language model in production, as services that talk through Kafka.",
    epilog="The stack lives in `.headrace` of the current folder, or in `HEADRACE_HOME`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"headrace {version('headrace-stack')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Say which release this is."
        ),
    ] = False,
) -> None: ...


commands_stack.register(app)
commands_schemas.register(app)
commands_dlq.register(app)
commands_replay.register(app)
commands_demo.register(app)
nouns.register(app)


def main() -> NoReturn:
    """Run one command."""
    # What goes wrong with Kafka is said in our own words, not once a second in the library's.
    for library in ("aiokafka", "headrace_kafka"):
        logging.getLogger(library).addHandler(logging.NullHandler())
        logging.getLogger(library).propagate = False
    try:
        app()
    except StackError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None:
            raise  # of a connection, say: a fault of ours
        _complain(in_words(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _complain(message: str) -> None:
    console = Console(stderr=True)
    console.print("[bold red]Error:[/]", end=" ")
    console.print(message, markup=False, highlight=False, soft_wrap=True)
