"""`headrace events tail`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated

import typer

from headrace_stack import event_tail
from headrace_stack.bootstrap import bootstrap_servers
from headrace_stack.commands import times
from headrace_stack.commands.events.lines import Printer
from headrace_stack.paths import default_home
from headrace_stack.state import live_state


def events(
    workload: Annotated[str | None, typer.Option(help="Only of this workload.")] = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="Only of this type: `model.promoted`, `model`.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Also what came since: `10m`, `2h`, or ISO 8601.")
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Also what is there already.")
    ] = False,
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="What is there already, then end.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also `job.*`, and each step of progress on its own line.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    data: Annotated[
        bool, typer.Option("--data", help="Payloads too. They may hold the text of users.")
    ] = False,
) -> None:
    """Follow the events of the stack, each with the console's sentence; payloads if asked for.

    Progress of a job is one line that moves; without a terminal, a line for each tenth. It ends
    with exit code 1 when the stack is gone.
    """
    begin = times.since(since) if since else None
    servers = bootstrap_servers()
    choice = event_tail.Choice(workload, kind, journal=everything)
    seen_events = event_tail.tail(
        servers,
        choice,
        from_beginning=from_beginning,
        follow=not no_follow,
        since=begin,
        gone=_gone(),
    )
    asyncio.run(_show(seen_events, fold=not everything, as_json=as_json, data=data))


async def _show(seen_events: AsyncIterator[event_tail.Seen], *, fold: bool,
                as_json: bool, data: bool) -> None:  # fmt: skip
    if as_json:
        async for seen in seen_events:
            described = seen.describe(with_data=data)
            typer.echo(json.dumps(described, ensure_ascii=False, default=str))
        return
    with Printer(fold=fold) as printer:
        async for seen in seen_events:
            payload = seen.describe(with_data=True)["data"] if data else None
            more = ("  " + json.dumps(payload, ensure_ascii=False),) if data else ()
            printer.show(seen, *more)


def _gone() -> Callable[[], str | None]:
    """Return what says that the stack of the current folder is no more; another is not watched."""
    home = default_home()
    before = live_state(home)

    def gone() -> str | None:
        if before is None or live_state(home) is not None:
            return None
        return (
            f"The stack in {home} is gone, at {datetime.now():%H:%M:%S}: no more events come. "
            "`headrace up` starts it again."
        )

    return gone
