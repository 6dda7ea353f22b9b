"""`headrace rollback NAME [--to VERSION] --reason R`."""

from typing import Annotated, Any

import typer

from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.models.versions import (
    Name,
    Reason,
    Seconds,
    Wait,
    completed,
    decide,
    told,
    wait_for,
)
from headrace_stack.commands.output import Format, Lines, Output, show


def call(api: Api, name: str, to: str | None, reason: str) -> dict[str, Any]:
    """POST /models/{name}/rollback."""
    return decide(api, name, "rollback", version=None, reason=reason, to=to)


def rollback(
    name: Name,
    reason: Reason,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="A version that was in production, or `base`. Without it: the one before.",
            autocompletion=completed,
        ),
    ] = None,
    wait: Wait = False,
    timeout: Seconds = 60,
    output: Output = Format.TABLE,
) -> None:
    """Put an earlier version of a model, or its base, back in production."""
    api = connect()

    def answer() -> tuple[dict[str, Any], Lines]:
        done = call(api, name, to, reason)
        if wait:
            wait_for(api, done, timeout)
        return done, told(done, waited=wait)

    show(answer, output, name="production")
