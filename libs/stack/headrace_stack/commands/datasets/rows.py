"""`headrace datasets rows NAME [VERSION]`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.datasets.find import Name, Version, known, newest
from headrace_stack.commands.output import Column, Format, Limit, Output, Rows, show
from headrace_stack.commands.texts import ShowText, text_columns

COLUMNS = (
    Column("source", lambda row: row["source"].removeprefix("file:")),
    Column("file row", lambda row: row["file_row"], right=True),
    Column("split", lambda row: row["split"]),
    Column("language", lambda row: row["language"]),
    Column("prompt chars", lambda row: row["prompt_chars"], right=True),
    Column("answer chars", lambda row: row["completion_chars"], right=True),
    Column("id", lambda row: row["id"][:12]),
)


class Split(StrEnum):
    """The two sides of a dataset."""

    TRAIN = "train"
    HOLDOUT = "holdout"


def call(
    api: Api, name: str, version: int, *, split: str | None, text: bool, limit: int
) -> list[dict[str, Any]]:
    """GET /datasets/{name}/versions/{version}/rows."""
    where = ("datasets", name, "versions", str(version), "rows")
    with known(api, name):
        return list(api.pages(*where, limit=limit, split=split, text="true" if text else None))


def rows(
    name: Name,
    version: Version = None,
    split: Annotated[Split | None, typer.Option(help="One side only.")] = None,
    text: ShowText = False,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """List the rows of a dataset version; `file row` is the line in its file, the header is 1."""
    api = connect()

    def answer() -> tuple[list[dict[str, Any]], Rows]:
        number = version or newest(api, name, made=True)
        found = call(api, name, number, split=split, text=text, limit=limit)
        texts = text_columns(prompt=lambda row: row["prompt"], answer=lambda row: row["completion"])
        columns = (*COLUMNS, *(texts if text else ()))
        return found, Rows(columns, found, f"No rows of {name} version {number}.")

    show(answer, output, name="id")
