"""`headrace lag`: Kafka's own word on who is behind."""

import asyncio
from typing import Annotated, Any

import typer

from headrace_stack.commands.output import Column, Format, Output, Rows, Watch, show
from headrace_stack.commands.times import length
from headrace_stack.commands_events import bootstrap_servers
from headrace_stack.lags import OURS, lags

COLUMNS = (
    Column("service", lambda one: one["service"]),
    Column("group", lambda one: one["group"]),
    Column("topic", lambda one: one["topic"]),
    Column("lag", lambda one: one["lag"], right=True),
    Column("members", lambda one: one["members"], right=True),
    Column(
        "oldest",
        lambda one: None if one["oldest_seconds"] is None else length(one["oldest_seconds"]),
        right=True,
    ),
)
Service = Annotated[str | None, typer.Option(help="Only of this service.")]
Waiting = Annotated[bool, typer.Option("--waiting", help="Only where records wait.")]


def call(bootstrap: str) -> list[dict[str, Any]]:
    """Ask Kafka's admin interface."""
    return [one.describe() for one in asyncio.run(lags(bootstrap))]


def lag(
    service: Service = None, waiting: Waiting = False, output: Output = Format.TABLE,
    watch: Watch = False,
) -> None:  # fmt: skip
    """Show how many records wait for each service, and how long the oldest has waited.

    A group without members reads nothing: its service is down, or has just started.
    """
    bootstrap = bootstrap_servers()

    def answer() -> tuple[list[dict[str, Any]], Rows]:
        found = [
            one
            for one in call(bootstrap)
            if (service is None or one["service"] == service) and (one["lag"] or not waiting)
        ]
        return found, Rows(COLUMNS, found, _nothing(service, waiting))

    show(answer, output, name="group", watch=watch)


def _nothing(service: str | None, waiting: bool) -> str:
    if waiting:
        return "Nothing waits."
    return f"No group `{OURS}{service or '*'}` has read anything yet."
