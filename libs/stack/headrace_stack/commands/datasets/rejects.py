"""`headrace datasets rejects NAME [VERSION]`."""

from typing import Annotated, Any

import typer

from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.datasets.find import Name, Version, known, newest, row_of
from headrace_stack.commands.output import Column, Format, Limit, Output, Rows, show
from headrace_stack.commands.texts import ShowText, text_columns

COLUMNS = (
    Column("source", lambda row: row["source"].removeprefix("file:")),
    Column("file row", lambda row: row["file_row"], right=True),
    Column("reason", lambda row: row["reason"]),
    Column("collides with", lambda row: row_of(row["kept"])),
    Column("why", lambda row: row["detail"]),
)


def call(
    api: Api, name: str, version: int, *, reason: str | None, text: bool, limit: int
) -> list[dict[str, Any]]:
    """GET /datasets/{name}/versions/{version}/rejects."""
    where = ("datasets", name, "versions", str(version), "rejects")
    with known(api, name):
        return list(api.pages(*where, limit=limit, reason=reason, text="true" if text else None))


def rejects(
    name: Name,
    version: Version = None,
    reason: Annotated[str | None, typer.Option(help="Those of one reason only.")] = None,
    text: ShowText = False,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """List the rows that were dropped: their line in the file (the header is line 1), why, and
    which row they collide with."""
    api = connect()

    def answer() -> tuple[list[dict[str, Any]], Rows]:
        number = version or newest(api, name, made=False)
        found = call(api, name, number, reason=reason, text=text, limit=limit)
        texts = text_columns(
            prompt=lambda row: row["prompt"],
            answer=lambda row: row["completion"],
            other=lambda row: (row["kept"] or {}).get("prompt"),
        )
        columns = (*COLUMNS, *(texts if text else ()))
        return found, Rows(columns, found, f"No row was dropped for {name} version {number}.")

    show(answer, output, name="id")
