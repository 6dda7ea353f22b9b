"""`headrace workloads list`."""

from typing import Any

from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.output import Column, Format, Output, Rows, Watch, show
from headrace_stack.commands.times import age

COLUMNS = (
    Column("name", lambda one: one["name"]),
    Column("stage", lambda one: one["stage"]),
    Column("since", lambda one: age(one["since"])),
    Column("production", lambda one: one["production"]["version"]),
    Column("what it does", lambda one: one["sentence"]),
)


def call(api: Api) -> list[dict[str, Any]]:
    """GET /workloads."""
    return list(api.pages("workloads"))


def workloads(output: Output = Format.TABLE, watch: Watch = False) -> None:
    """List the workloads: stage, since when, which version answers, and why each waits."""
    api = connect()

    def answer() -> tuple[list[dict[str, Any]], Rows]:
        found = call(api)
        empty = "No workloads yet. `headrace apply -f FILE` declares one."
        return found, Rows(COLUMNS, found, empty)

    show(answer, output, watch=watch)
