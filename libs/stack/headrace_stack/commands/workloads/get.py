"""`headrace workloads get NAME`: a page as `kubectl describe` prints it."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from headrace_stack.commands.api import Api, Refused, connect
from headrace_stack.commands.names import completing, unknown
from headrace_stack.commands.output import Format, Lines, Output, Watch, printable, show
from headrace_stack.commands.times import age, at
from headrace_stack.commands.workloads.list import call as all_workloads

Name = Annotated[
    str, typer.Argument(help="The workload's name.", autocompletion=completing("workloads"))
]
_NOT_FOUND = 404


def call(api: Api, name: str) -> dict[str, Any]:
    """GET /workloads/{name}."""
    try:
        found: dict[str, Any] = api.get("workloads", name)
    except Refused as error:
        if error.status != _NOT_FOUND:
            raise
        names = [one["name"] for one in all_workloads(api)]
        raise unknown("workload", name, names, where="headrace workloads list") from None
    return found


def workload(name: Name, output: Output = Format.TABLE, watch: Watch = False) -> None:
    """Show what a workload does, why it waits, what was decided, and what you can do."""
    api = connect()

    def answer() -> tuple[dict[str, Any], Lines]:
        found = call(api, name)
        return found, Lines(tuple(_page(found, api.base_url)))

    show(answer, output, watch=watch)


def _page(found: dict[str, Any], base_url: str) -> Iterator[str]:
    production, links = found["production"], found["links"]
    facts = {
        "name": found["name"],
        "stage": found["stage"],
        "since": f"{at(found['since'])} ({age(found['since'])})" if found["since"] else None,
        "now": found["sentence"],
        "you can": found["step"] or "nothing needs to be done",
        "next": found["next"],
        "production": _production(production),
        "candidate": found["candidate"],
        "dataset": found["dataset"],
        "owner": found["owner"],
        "base": found["base"],
        "manifest": f"revision {found['revision']}, applied {at(found['applied_at'])}",
    }
    for title, value in facts.items():
        yield f"{title + ':':12} {printable(value)}"
    yield from _problems(found["problems"])
    yield from _decisions(found["decisions"])
    yield "links:"
    for title, path in links.items():
        if path:
            shown = path if "://" in path else base_url + path
            yield f"  {title + ':':12} {printable(shown)}"
    if found["trace_id"]:
        yield f"  {'trace:':12} {printable(found['trace_id'])}"


def _production(production: dict[str, Any]) -> str:
    since = f", since {at(production['since'])}" if production["since"] else ""
    return f"{production['version']}{since}"


def _problems(problems: list[dict[str, Any]]) -> Iterator[str]:
    yield "problems:" if problems else f"{'problems:':12} none"
    for one in problems:
        yield f"  {at(one['at'])}  {printable(one['text'])}"
        if one["step"]:
            yield f"  {'':19}  {printable(one['step'])}"


def _decisions(decisions: list[dict[str, Any]]) -> Iterator[str]:
    yield "decisions:" if decisions else f"{'decisions:':12} none yet"
    for one in decisions:
        yield f"  {at(one['at'])}  {one['event']:20} {printable(one['text'])}"
