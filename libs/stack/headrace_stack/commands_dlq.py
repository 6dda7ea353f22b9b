"""`headrace dlq list|show|replay`."""

import asyncio
import getpass
import json
import re
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from headrace_stack import dead_letters, views
from headrace_stack.bootstrap import bootstrap_servers
from headrace_stack.dead_letters import Choice, DeadLetter
from headrace_stack.errors import StackError

_AGO = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

ServiceOption = Annotated[str | None, typer.Option(help="Only of this service.")]
TopicOption = Annotated[str | None, typer.Option(help="Only what came from this topic.")]
ErrorOption = Annotated[str | None, typer.Option(help="Only of this error class.")]
TypeOption = Annotated[
    str | None, typer.Option("--type", help="Only of this event type: `feedback.given`, `model`.")
]
WorkloadOption = Annotated[str | None, typer.Option(help="Only of this workload.")]
SinceOption = Annotated[
    str | None, typer.Option(help="Only from then on: `2h`, `3d`, or ISO 8601.")
]
UntilOption = Annotated[str | None, typer.Option(help="Only before then.")]
IdOption = Annotated[
    list[str] | None,
    typer.Option("--id", help="This one: its name (`ingest/0/17`) or event id; may be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]


def register(app: typer.Typer) -> None:
    """Put the commands into `app`."""
    dlq = typer.Typer(
        help="Dead letters: records that a service could not handle.", no_args_is_help=True
    )
    dlq.command(
        "list",
        epilog="Examples: `headrace dlq list`, `headrace dlq list --service ingest --since 2h`",
    )(list_)
    dlq.command(epilog="Example: `headrace dlq show ingest/0/17`")(show)
    dlq.command(
        epilog="Examples: `headrace dlq replay --service ingest --since 2h --dry-run`, "
        "`headrace dlq replay --id ingest/0/17 --reason 'producer corrected'`"
    )(replay)
    app.add_typer(dlq, name="dlq")


def moment(text: str | None) -> datetime | None:
    """Read `2h` (ago) or ISO 8601; without a zone it is local time."""
    if text is None:
        return None
    if ago := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise StackError(
            f"`{text}` is no time: write `30m`, `2h`, `3d` or 2026-11-24T08:30"
        ) from None


def list_(
    service: ServiceOption = None,
    topic: TopicOption = None,
    error: ErrorOption = None,
    kind: TypeOption = None,
    workload: WorkloadOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    ids: IdOption = None,
    open_only: Annotated[bool, typer.Option("--open", help="Not those replayed already.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, oldest first. No payloads, no text of users."""
    choice = Choice(
        service, topic, error, kind, workload, moment(since), moment(until), tuple(ids or ())
    )
    letters = asyncio.run(dead_letters.find(bootstrap_servers(), choice))
    shown = [letter for letter in letters if not (open_only and letter.replays)]
    _print(shown, as_json)


def show(
    name: Annotated[str, typer.Argument(help="A name that `list` shows, or an event id.")],
    payload: Annotated[
        bool, typer.Option("--payload", help="The payload too. It may hold the text of users.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show one dead letter: why, from where, its headers, and its payload's shape."""
    letters = asyncio.run(dead_letters.find(bootstrap_servers(), Choice(ids=(name,))))
    if not letters:
        raise StackError(f"No dead letter is called {name}. `headrace dlq list` shows their names.")
    for letter in letters:
        described = {
            **letter.describe(),
            "problem": letter.problem() or "none that this release sees",
            "key": _text(letter.key) if payload else shape(_text(letter.key)),
            "headers": {k: _header(k, v, masked=not payload) for k, v in letter.headers},
            "payload": _payload(letter, masked=not payload),
        }
        if as_json:
            typer.echo(json.dumps(described, ensure_ascii=False))
            continue
        table = Table(show_header=False, box=None)
        for field, value in described.items():
            plain = value if isinstance(value, str | int) else json.dumps(value, indent=2)
            table.add_row(f"[bold]{field}[/]", _escaped(str(plain)))
        views.console().print(table)


def replay(
    service: ServiceOption = None,
    topic: TopicOption = None,
    error: ErrorOption = None,
    kind: TypeOption = None,
    workload: WorkloadOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    ids: IdOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All of them, without a filter.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also those that were replayed already.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent back.")
    ] = False,
    operator: Annotated[
        str | None, typer.Option("--by", help="Who does it; you, if not given.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it goes into the record.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Send dead letters back to the topics they came from, oldest first, key and headers as before.

    Who sent back what, and when, is written down as `dead_letter.replayed` events; each is sent
    back once unless `--again`. Events that came after them have been handled in the meantime.
    """
    choice = Choice(
        service, topic, error, kind, workload, moment(since), moment(until), tuple(ids or ())
    )
    if choice == Choice() and not everything:
        raise StackError("Say which: with a filter (`--service`, `--id`, ...) or `--all`.")
    asyncio.run(
        _replay(
            choice,
            again=again,
            dry_run=dry_run,
            operator=operator or f"{getpass.getuser()}@{socket.gethostname()}",
            reason=reason,
            as_json=as_json,
        )
    )


async def _replay(
    choice: Choice, *, again: bool, dry_run: bool, operator: str, reason: str, as_json: bool
) -> None:
    servers = bootstrap_servers()
    found = await dead_letters.find(servers, choice)
    chosen = [letter for letter in found if again or not letter.replays]
    done_before = len(found) - len(chosen)
    sent = len(chosen)
    if dry_run:
        _print(chosen, as_json)
    else:
        done = dead_letters.replay(servers, chosen, operator=operator, reason=reason)
        async for letter, replay_id in done:
            sent -= replay_id is None
            if as_json:
                typer.echo(json.dumps({**letter.describe(), "replay_id": replay_id}))
            elif replay_id is None:
                typer.echo(f"{letter.name} is left: {letter.topic} has a newer record of its key")
            else:
                typer.echo(
                    f"{letter.name} -> {letter.topic}  {letter.event_type or ''}  {replay_id}"
                )
    if not as_json:
        before = f"; {done_before} were replayed before (`--again`)" if done_before else ""
        verb = "would be sent" if dry_run else "sent"
        typer.echo(f"{sent} of {len(found)} {verb} back{before}.")


def shape(value: Any) -> Any:
    """Return what a value looks like, without what it says: lengths of texts, kinds of the rest."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:3]] + (["..."] if len(value) > 3 else [])
    if isinstance(value, str):
        return f"<{len(value)} characters>"
    return None if value is None else f"<{type(value).__name__}>"


def _print(letters: Sequence[DeadLetter], as_json: bool) -> None:
    if as_json:
        for letter in letters:
            typer.echo(json.dumps(letter.describe(), ensure_ascii=False))
        return
    table = Table(header_style="bold")
    for column in ("name", "time", "from", "event", "workload", "error", "tries", "replayed"):
        table.add_column(column, no_wrap=column in ("name", "time"))
    for letter in letters:
        last = letter.replays[-1] if letter.replays else None
        table.add_row(
            letter.name,
            f"{letter.at.astimezone():%m-%d %H:%M:%S}",
            _escaped(letter.origin),
            _escaped(letter.event_type or "-"),
            _escaped(letter.workload or "-"),
            letter.error + (" (omitted)" if letter.omitted else ""),
            str(letter.attempts),
            _escaped(f"by {last.operator}") if last else "",
        )
    views.console().print(table)
    typer.echo(f"{len(letters)} dead letters.")


def _header(name: str, value: bytes | None, *, masked: bool) -> Any:
    ours = name.startswith(("ce_", "headrace_", "trace")) or name == "content-type"
    return shape(_text(value)) if masked and not ours else _text(value)


def _payload(letter: DeadLetter, *, masked: bool) -> Any:
    if letter.omitted:
        return f"omitted: {letter.value_bytes} bytes, sha256 {letter.value_sha256 or 'unknown'}"
    return shape(_loaded(letter.value)) if masked else _loaded(letter.value)


def _loaded(value: bytes | None) -> Any:
    try:
        return json.loads(value or b"null")
    except (ValueError, RecursionError):
        return _text(value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
