"""`headrace events`: what happened, in order, and what it means."""

import typer

from headrace_stack.commands.events import tail
from headrace_stack.commands.examples import examples

app = typer.Typer(help="Look at the events of the stack.", no_args_is_help=True)
app.command(
    "tail",
    epilog=examples(
        "headrace events tail --workload support-tickets",
        "headrace events tail --since 10m",
        "headrace events tail --type model --from-beginning --no-follow --json",
    ),
)(tail.events)
