"""`headrace apply`."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from headrace_stack import evidence, manifests, source_roots
from headrace_stack.errors import StackError
from headrace_stack.paths import default_home
from headrace_stack.state import live_state

KAFKA_VARIABLE = "HEADRACE_KAFKA__BOOTSTRAP_SERVERS"


def register(app: typer.Typer) -> None:
    """Put the commands into `app`."""
    app.command(epilog="Example: `headrace apply -f workload.yaml`")(apply)


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
