"""`headrace apply`: check a manifest and its files, publish it, wait for what comes of it."""

import typer

from headrace_stack.commands.apply.command import apply
from headrace_stack.commands.examples import examples


def register(app: typer.Typer) -> None:
    """Put the command into `app`."""
    app.command(
        "apply",
        epilog=examples(
            "headrace apply -f workload.yaml",
            "headrace apply -f workload.yaml --dry-run --show-rows",
            "headrace apply -f workload.yaml --wait --for evaluated --timeout 20m",
        ),
    )(apply)
