"""`headrace models show NAME [VERSION]`."""

from typing import Annotated, Any

import typer

from headrace_stack.commands.api import Api, Refused, connect
from headrace_stack.commands.models.list import call as all_models
from headrace_stack.commands.names import completing, unknown
from headrace_stack.commands.output import (
    Column,
    Format,
    Lines,
    Output,
    Page,
    Rows,
    printable,
    show,
)
from headrace_stack.commands.times import age, at

Name = Annotated[
    str, typer.Argument(help="The workload's name.", autocompletion=completing("models"))
]
Version = Annotated[str | None, typer.Argument(help="A version: `2`. Without it: all of them.")]

COLUMNS = (
    Column("version", lambda one: one["version"]),
    Column("state", lambda one: one["state"]),
    Column("aliases", lambda one: ", ".join(one["aliases"])),
    Column("dataset", lambda one: one["dataset"]["version"]),
    Column("age", lambda one: age(one["created_at"])),
    Column("reason", lambda one: one["reason"]),
)


def call(api: Api, name: str, version: str | None = None) -> dict[str, Any]:
    """GET /models/{name}, or /models/{name}/versions/{version}."""
    where = ("models", name) if version is None else ("models", name, "versions", version)
    try:
        found: dict[str, Any] = api.get(*where)
    except Refused as error:
        known = {model["name"]: model for model in all_models(api)}
        if error.status != 404 or (name in known and version is None):
            raise
        if name not in known:
            raise unknown("model", name, known, where="headrace models list") from None
        versions = [one["version"] for one in known[name]["versions"]]
        raise unknown(
            f"version of {name}", version or "", versions, where=f"headrace models show {name}"
        ) from None
    return found


def model(name: Name, version: Version = None, output: Output = Format.TABLE) -> None:
    """Show the versions of a model, or one of them: state, data, scores, reason."""
    api = connect()

    def answer() -> tuple[dict[str, Any], Page]:
        found = call(api, name, version)
        if version is None:
            return found, Rows(COLUMNS, found["versions"], f"{name} has no version yet.")
        return found, Lines(tuple(_page(name, found)))

    show(answer, output, name="name" if version is None else "version")


def _page(name: str, found: dict[str, Any]) -> list[str]:
    dataset = found["dataset"]
    facts = {
        "version": f"{name}@{found['version']}",
        "state": found["state"],
        "aliases": ", ".join(found["aliases"]),
        "reason": found["reason"],
        "base": found["base"],
        "dataset": f"version {dataset['version']}, {dataset['train_rows']} rows to train on"
        if "train_rows" in dataset else f"version {dataset['version']}",
        "training": found["job_id"],
        "created": at(found["created_at"]),
        "changed": at(found["updated_at"]),
    }  # fmt: skip
    return [f"{title + ':':10} {printable(value)}" for title, value in facts.items()]
