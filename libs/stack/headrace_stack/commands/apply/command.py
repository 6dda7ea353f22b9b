"""`headrace apply -f FILE`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from headrace_events.workload import Manifest
from headrace_stack import evidence, manifests, source_roots
from headrace_stack.bootstrap import bootstrap_servers
from headrace_stack.commands.api import Api, connect
from headrace_stack.commands.apply import difference, preview, wait
from headrace_stack.errors import StackError
from headrace_stack.paths import default_home
from headrace_stack.state import live_state

_NO_COMPARISON = 2


def apply(
    file: Annotated[Path, typer.Option("--file", "-f", help="The manifest, YAML.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all, print what would hold, publish nothing.")
    ] = False,
    diff: Annotated[
        bool,
        typer.Option(
            "--diff",
            help="Print how it differs from the manifest that holds, publish nothing. "
            "Exit code 0: not at all, 1: it does, more: they could not be compared.",
        ),
    ] = False,
    show_rows: Annotated[
        bool,
        typer.Option(
            "--show-rows", help="Print three rows of each file too. They may hold users' text."
        ),
    ] = False,
    waits: Annotated[
        bool, typer.Option("--wait", help="Wait for what comes of it: see --for and --timeout.")
    ] = False,
    stage: Annotated[
        wait.Stage, typer.Option("--for", help="The stage that --wait waits for.")
    ] = wait.Stage.PROMOTED,
    timeout: Annotated[
        str, typer.Option("--timeout", help="How long --wait waits: `90s`, `30m`, `2h`.")
    ] = "30m",
) -> None:
    """Check a workload manifest and its files, and publish it.

    A wrong one is refused whole, with exit code 2; so is one whose file lacks a column. With
    --wait: 0 the stage was reached, 5 it ended otherwise, 6 it was not reached in time.
    """
    seconds = wait.seconds(timeout)
    manifest = manifests.load(file)
    if diff:
        raise typer.Exit(_compare(manifest))
    if dry_run:
        stack = connect()
        _open_folder(file)
        _dry_run(stack, manifest, rows=show_rows)
        return
    servers = bootstrap_servers()
    api: Api | None = connect() if waits else preview.reachable()
    _open_folder(file)
    console = Console()
    _preview(api, manifest, console, rows=show_rows)
    event = asyncio.run(manifests.publish(servers, manifest))
    name = manifest.metadata.name
    _note(manifest, console)
    console.print(
        f"Applied workload [bold]{name}[/], revision {event.data.revision}. "
        f"Watch it: headrace workloads get {name} --watch",
        highlight=False,
        soft_wrap=True,
    )
    if waits and api:
        raise typer.Exit(wait.until(api, name, event.time, stage, seconds))


def _open_folder(file: Path) -> None:
    """Let the stack read the files that lie beside the manifest."""
    if live_state(default_home()):
        source_roots.allow(default_home(), file.resolve().parent)


def _compare(manifest: Manifest) -> int:
    try:
        text = difference.of(connect(), manifest)
    except StackError as error:
        # As of `diff` and `kubectl diff`: 1 says that they differ and nothing else.
        error.exit_code = max(error.exit_code, _NO_COMPARISON)
        raise
    if text:
        typer.echo(text)
    return 1 if text else 0


def _dry_run(api: Api, manifest: Manifest, *, rows: bool) -> None:
    for line in preview.lines(api, manifest, rows=rows):
        typer.echo(f"# {line}")
    for note in evidence.notes(manifest):
        typer.echo(f"# Note: {note}")
    typer.echo(f"# Nothing was published. Revision {manifest.revision()} would be:")
    typer.echo(difference.as_yaml(manifest.model_dump(mode="json")).rstrip())


def _preview(api: Api | None, manifest: Manifest, console: Console, *, rows: bool) -> None:
    """Refuse a file that could not be landed; without ingest it is told later, by an event."""
    if api is None:
        return
    try:
        for line in preview.lines(api, manifest, rows=rows):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    except preview.Unread as error:
        note = f"the files were not looked at before: {error}"
        console.print(f"[yellow]Note:[/] {escape(note)}", highlight=False, soft_wrap=True)


def _note(manifest: Manifest, console: Console) -> None:
    for note in evidence.notes(manifest):
        console.print(f"[yellow]Note:[/] {escape(note)}", highlight=False, soft_wrap=True)
