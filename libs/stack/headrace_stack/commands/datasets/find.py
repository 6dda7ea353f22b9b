"""Which dataset version a command is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from headrace_stack.commands.api import Api, Refused
from headrace_stack.commands.names import completing, unknown

COMPLETING = completing("datasets", key="workload")
_NOT_FOUND = 404
_LIST = "headrace datasets list"

Name = Annotated[str, typer.Argument(help="The workload's name.", autocompletion=COMPLETING)]
Version = Annotated[
    int | None, typer.Argument(min=1, help="A version: `2`. Without it: the newest.")
]


@contextmanager
def known(api: Api, name: str) -> Iterator[None]:
    """Tell of a name that there is not, with the nearest ones."""
    try:
        yield
    except Refused as error:
        names = {one["workload"] for one in api.pages("datasets")} if error.status == _NOT_FOUND \
            else {name}  # fmt: skip
        if name in names:
            raise
        raise unknown("dataset", name, sorted(names), where=_LIST) from None


def newest(api: Api, name: str, *, made: bool) -> int:
    """Return the newest version; with `made` one that has rows, not why there is none."""
    with known(api, name):
        found = api.get("datasets", name, limit=2)["data"]
    for one in found:
        if one["state"] == "curated" or not made:
            return int(one["version"])
    if found:
        raise Refused(
            f"{name} has no dataset yet: {found[0]['reason']} `headrace datasets rejects {name}` "
            "shows the rows that were dropped.", _NOT_FOUND, "not_found",
        )  # fmt: skip
    raise Refused(
        f"{name} has no dataset yet: its records are being landed or curated. "
        "`headrace events tail --from-beginning` says how far it is.", _NOT_FOUND, "not_found",
    )  # fmt: skip


def row_of(one: dict[str, Any] | None) -> str | None:
    """Return where a row stands: its file and its line there."""
    if one is None:
        return None
    source = one["source"].removeprefix("file:")
    if one["file_row"]:
        return f"{source} row {one['file_row']}"
    return f"{source} {one['id'][:12]}".strip()
