"""`headrace datasets diff NAME OLD NEW`."""

from typing import Annotated, Any

import typer

from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.datasets.find import Name, known
from headrace_stack.commands.output import Column, Format, Output, Rows, show

_WORDS = {
    "added": "new prompts",
    "removed": "prompts that are gone",
    "changed_completion": "prompts with another answer",
    "changed_split": "prompts on the other side of the split",
    "unchanged": "the same",
}
COLUMNS = (
    Column("rows", lambda one: one[1], right=True),
    Column("change", lambda one: _WORDS.get(one[0], one[0])),
)


def call(api: Api, name: str, old: int, new: int) -> dict[str, Any]:
    """GET /datasets/{name}/diff."""
    with known(api, name):
        found: dict[str, Any] = api.get("datasets", name, "diff", old=old, new=new)
    return found


def diff(
    name: Name,
    old: Annotated[int, typer.Argument(min=1, help="A version.")],
    new: Annotated[int, typer.Argument(min=1, help="A later version.")],
    output: Output = Format.TABLE,
) -> None:
    """Say what a version added, removed and changed against another."""
    api = connect()

    def answer() -> tuple[dict[str, Any], Rows]:
        found = call(api, name, old, new)
        return found, Rows(COLUMNS, list(found["rows"].items()), "No rows.")

    show(answer, output, name="workload")
