"""`headrace models show NAME [VERSION]`."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from headrace_stack.commands.api import Api, Refused, connect
from headrace_stack.commands.models.versions import Name, asked, completed
from headrace_stack.commands.output import (
    Column,
    Format,
    Lines,
    Output,
    Page,
    Rows,
    figure,
    plain,
    printable,
    show,
)
from headrace_stack.commands.times import age, at

Version = Annotated[
    str | None,
    typer.Argument(help="A version: `2`. Without it: all of them.", autocompletion=completed),
]

COLUMNS = (
    Column("version", lambda one: one["version"]),
    Column("state", lambda one: one["state"]),
    Column("aliases", lambda one: ", ".join(one["aliases"])),
    Column("dataset", lambda one: one["dataset"]["version"], right=True),
    Column("scores", lambda one: _scores_in_short(one["evaluation"])),
    Column("age", lambda one: age(one["created_at"])),
    Column("reason", lambda one: one["reason"]),
)
SCORES = (
    Column("  metric", lambda m: f"  {m['metric']}"),
    Column("version", lambda m: figure(m["candidate"]), right=True),
    Column("against", lambda m: figure(m["incumbent"]), right=True),
    Column("difference", lambda m: f"{m['difference']:+.3f}", right=True),
    Column("interval", lambda m: f"{m['low']:+.3f} .. {m['high']:+.3f}"),
    Column("level", lambda m: f"{m['confidence']:.0%}", right=True),
    Column("rows", lambda m: m["rows"], right=True),
)
GATES = (
    Column("  gate", lambda g: f"  {g['metric']}"),
    Column("decision", lambda g: "passed" if g["passed"] else "shut"),
    Column("bound", lambda g: "-" if g["bound"] is None else f"{g['bound']:+.3f}", right=True),
    Column("needed", lambda g: f"{g['margin']:+.3f}", right=True),
    Column("reason", lambda g: g["reason"]),
)
EVENTS = (
    Column("  at", lambda e: f"  {at(e['at'])}"),
    Column("event", lambda e: e["type"].removesuffix(".v1")),
    Column("note", lambda e: f"refused: {e['note']}" if e["refused"] else e["note"]),
)
_HISTORY = 12


def call(api: Api, name: str, version: str | None = None) -> dict[str, Any]:
    """GET /models/{name}, or /models/{name}/versions/{version}."""
    where = ("models", name) if version is None else ("models", name, "versions", version)
    try:
        found: dict[str, Any] = api.get(*where)
    except Refused as error:
        raise (asked(api, name, version, error) if error.status == 404 else error) from None
    return found


def model(name: Name, version: Version = None, output: Output = Format.TABLE) -> None:
    """Show the versions of a model, or one: scores, gates, data, training, history."""
    api = connect()

    def answer() -> tuple[dict[str, Any], Page]:
        found = call(api, name, version)
        if version is None:
            return found, Rows(COLUMNS, found["versions"], f"{name} has no version yet.")
        return found, Lines(tuple(_page(found)))

    show(answer, output, name="name" if version is None else "version")


def _page(found: dict[str, Any]) -> Iterator[str]:
    dataset, training = found["dataset"], found["training"]
    facts = {
        "version": f"{found['name']}@{found['version']}",
        "state": found["state"],
        "aliases": ", ".join(found["aliases"]),
        "reason": found["reason"],
        "replaced": found["replaced"],
        "base": found["base"],
        "created": at(found["created_at"]),
        "changed": at(found["updated_at"]),
        "dataset": f"version {dataset['version']}: {dataset['train_rows']} rows to train on, "
        f"{dataset['holdout_rows']} held out",
        "sources": ", ".join(found["sources"]),
        "rejected": _counts(found["rejects"]),
        "redacted": _counts(found["redactions"]),
        "training": _trained(found["job_id"], training),
        "settings": _settings(training.get("settings") or {}),
        "artefact": found["artefact"]["uri"],
    }
    yield from (f"{title + ':':10} {printable(value)}" for title, value in facts.items())
    if done := found["evaluation"]:
        yield f"{'scores:':10} against {printable(done['incumbent']['version'])}, the same rows"
        yield from plain(Rows(SCORES, done["metrics"], "  none")).splitlines()
        yield f"{'gates:':10} {'passed' if done['passed'] else 'not passed'}"
        yield from plain(Rows(GATES, done["gates"], "  none")).splitlines()
    else:
        yield f"{'scores:':10} not evaluated yet"
    events = found["events"][-_HISTORY:]
    yield f"{'history:':10} the last {len(events)} of {len(found['events'])} events"
    yield from plain(Rows(EVENTS, events, "  none")).splitlines()


def _scores_in_short(done: dict[str, Any] | None) -> str:
    metrics = done["metrics"] if done else []
    return ", ".join(
        f"{m['metric']} {m['candidate']:.3f} ({m['difference']:+.3f})" for m in metrics
    )


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in found.items())


def _trained(job: str, training: dict[str, Any]) -> str:
    metrics = training.get("metrics", {})
    loss = f", loss {metrics['loss']:.3f}" if "loss" in metrics else ""
    pace = metrics.get("tokens_per_second")
    told = f"{job}: {training['steps']} steps in {training['seconds']:.0f} s{loss}"
    return told + (f", {pace:,.0f} tokens/s" if pace else "")


def _settings(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items() if value is not None)
