"""`headrace models diff NAME OLD NEW`."""

from collections.abc import Iterator
from typing import Any

from headrace_stack.commands.api import Api, Refused, connect
from headrace_stack.commands.models.versions import BASE, Name, Version, asked
from headrace_stack.commands.output import (
    Column,
    Format,
    Lines,
    Output,
    Rows,
    figure,
    plain,
    printable,
    show,
)


def call(api: Api, name: str, old: str, new: str) -> dict[str, Any]:
    """GET /models/{name}/diff."""
    try:
        found: dict[str, Any] = api.get("models", name, "diff", old=old, new=new)
    except Refused as error:
        if error.status != 404:
            raise
        for version in (old, new):
            told = asked(api, name, None if version == BASE else version, error)
            if told is not error:
                raise told from None
        raise
    return found


def diff(name: Name, old: Version, new: Version, output: Output = Format.TABLE) -> None:
    """Show two versions side by side: scores, data, settings. `base` is one as well."""
    api = connect()

    def answer() -> tuple[dict[str, Any], Lines]:
        found = call(api, name, old, new)
        return found, Lines(tuple(_page(found)))

    show(answer, output, name="new")


def _page(found: dict[str, Any]) -> Iterator[str]:
    sides = (found["old"], found["new"])
    scores = (
        Column("score", lambda s: s["metric"]),
        Column(sides[0], lambda s: figure(s["old"]), right=True),
        Column(sides[1], lambda s: figure(s["new"]), right=True),
        Column("difference", lambda s: _signed(s["difference"]), right=True),
        Column("interval", _interval),
        Column("rows", lambda s: s["rows"], right=True),
    )
    facts = (
        Column("", lambda d: " " if d["same"] else "*"),
        Column("fact", lambda d: d["name"]),
        Column(sides[0], lambda d: _value(d["old"])),
        Column(sides[1], lambda d: _value(d["new"])),
    )
    yield from plain(Rows(scores, found["scores"], "No scores yet.")).splitlines()
    yield printable(found["note"])
    yield ""
    yield from plain(Rows(facts, [*found["facts"], *found["settings"]], "")).splitlines()


def _interval(score: dict[str, Any]) -> str:
    if score["low"] is None:
        return "-"
    return f"{score['low']:+.3f} .. {score['high']:+.3f} ({score['confidence']:.0%})"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _value(value: Any) -> object:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else value
