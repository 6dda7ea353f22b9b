"""`headrace models list`."""

from typing import Any

from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.output import Column, Format, Output, Rows, Watch, show

COLUMNS = (
    Column("name", lambda model: model["name"]),
    Column("production", lambda model: model["production"]),
    Column("canary", lambda model: model["aliases"].get("canary")),
    Column(
        "newest", lambda model: max((int(v["version"]) for v in model["versions"]), default=None)
    ),
    Column("versions", lambda model: len(model["versions"]), right=True),
    Column("base", lambda model: model["base"]),
)


def call(api: Api) -> list[dict[str, Any]]:
    """GET /models."""
    return list(api.pages("models"))


def models(output: Output = Format.TABLE, watch: Watch = False) -> None:
    """List the models of all workloads, and which version of each answers."""
    api = connect()

    def answer() -> tuple[list[dict[str, Any]], Rows]:
        found = call(api)
        return found, Rows(COLUMNS, found, "No models yet. `headrace apply -f FILE` declares one.")

    show(answer, output, watch=watch)
