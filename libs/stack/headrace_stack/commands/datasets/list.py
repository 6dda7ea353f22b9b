"""`headrace datasets list [NAME]`."""

from typing import Annotated, Any

import typer

from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.datasets.find import COMPLETING, known
from headrace_stack.commands.output import Column, Format, Limit, Output, Rows, Watch, show
from headrace_stack.commands.times import age

COLUMNS = (
    Column("name", lambda one: one["workload"]),
    Column("version", lambda one: one["version"], right=True),
    Column("state", lambda one: one["state"]),
    Column("train", lambda one: one["train_rows"], right=True),
    Column("holdout", lambda one: one["holdout_rows"], right=True),
    Column("dropped", lambda one: sum(one["rejects"].values()), right=True),
    Column("age", lambda one: age(one["created_at"])),
    Column("sources", lambda one: ", ".join(s.removeprefix("file:") for s in one["sources"])),
    Column("reason", lambda one: one["reason"]),
)


def call(api: Api, name: str | None, limit: int) -> list[dict[str, Any]]:
    """GET /datasets, or /datasets/{name}."""
    if name is None:
        return list(api.pages("datasets", limit=limit))
    with known(api, name):
        return list(api.pages("datasets", name, limit=limit))


def datasets(
    name: Annotated[
        str | None,
        typer.Argument(help="All versions of this workload.", autocompletion=COMPLETING),
    ] = None,
    limit: Limit = 200,
    output: Output = Format.TABLE,
    watch: Watch = False,
) -> None:
    """List the newest dataset of each workload, or all of one; a refused one with its reason."""
    api = connect()

    def answer() -> tuple[list[dict[str, Any]], Rows]:
        found = call(api, name, limit)
        empty = "No datasets yet. `headrace apply -f FILE` declares a workload with its sources."
        return found, Rows(COLUMNS, found, empty)

    show(answer, output, name="workload", watch=watch)
