"""`headrace apply`, `headrace events`."""

import asyncio
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from headrace_stack import event_tail, evidence, manifests, source_roots
from headrace_stack.errors import StackError
from headrace_stack.paths import default_home
from headrace_stack.state import live_state

KAFKA_VARIABLE = "HEADRACE_KAFKA__BOOTSTRAP_SERVERS"


def register(app: typer.Typer) -> None:
    """Put the commands into `app`."""
    app.command(epilog="Example: `headrace apply -f workload.yaml`")(apply)
    events = typer.Typer(help="Look at the events of the stack.", no_args_is_help=True)
    events.command(
        epilog="Examples: `headrace events tail --workload python-docs`, "
        "`headrace events tail --type model --from-beginning --no-follow --json`"
    )(tail)
    app.add_typer(events, name="events")


def bootstrap_servers() -> str:
    """Kafka of the stack in the current folder, or the one that the environment names."""
    state = live_state(default_home())
    found = (state.kafka if state else "") or os.environ.get(KAFKA_VARIABLE, "")
    if not found:
        raise StackError(
            f"No stack runs in {default_home()}. Start it with `headrace up`, go to its folder, "
            f"or name another Kafka in {KAFKA_VARIABLE}."
        )
    return found


def apply(
    file: Annotated[Path, typer.Option("--file", "-f", help="The manifest, YAML.")],
) -> None:
    """Check a workload manifest and publish it. A wrong one is refused whole, with exit code 2."""
    manifest = manifests.load(file)
    servers = bootstrap_servers()
    if live_state(default_home()):
        source_roots.allow(default_home(), file.resolve().parent)
    event = asyncio.run(manifests.publish(servers, manifest))
    name = manifest.metadata.name
    console = Console()
    for note in evidence.notes(manifest):
        console.print(f"[yellow]Note:[/] {escape(note)}", highlight=False, soft_wrap=True)
    console.print(
        f"Applied workload [bold]{name}[/], revision {event.data.revision}. "
        f"Watch it: headrace events tail --workload {name}",
        highlight=False,
        soft_wrap=True,
    )


def tail(
    workload: Annotated[str | None, typer.Option(help="Only of this workload.")] = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="Only of this type: `model.promoted`, `model`.")
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Also what is there already.")
    ] = False,
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="What is there already, then end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    data: Annotated[
        bool, typer.Option("--data", help="Payloads too. They may hold the text of users.")
    ] = False,
) -> None:
    """Follow the events of the stack: attributes only, unless payloads are asked for."""
    asyncio.run(
        _tail(
            event_tail.Choice(workload, kind),
            from_beginning=from_beginning,
            follow=not no_follow,
            as_json=as_json,
            data=data,
        )
    )


async def _tail(
    choice: event_tail.Choice, *, from_beginning: bool, follow: bool, as_json: bool, data: bool
) -> None:
    seen_events = event_tail.tail(
        bootstrap_servers(), choice, from_beginning=from_beginning, follow=follow
    )
    async for seen in seen_events:
        described = seen.describe(with_data=data)
        if as_json:
            typer.echo(json.dumps(described, ensure_ascii=False, default=str))
            continue
        attributes = seen.event.attributes
        at = datetime.fromisoformat(str(attributes["time"])).astimezone()
        line = f"{at:%H:%M:%S.%f}"[:12] + f"  {seen.event.type:28} {attributes['workload']:20} "
        typer.echo(line + str(attributes["subject"]))
        if data:
            typer.echo("  " + json.dumps(described["data"], ensure_ascii=False))
