"""`headrace models`: versions, which of them answers, and why."""

import typer

from headrace_stack.commands.examples import examples
from headrace_stack.commands.models import list as listing
from headrace_stack.commands.models import show

app = typer.Typer(help="Versions of models: list, show.", no_args_is_help=True)
app.command("list", epilog=examples("headrace models list", "headrace models list -o name"))(
    listing.models
)
app.command(
    "show",
    epilog=examples(
        "headrace models show support-tickets", "headrace models show support-tickets 2 -o yaml"
    ),
)(show.model)
