"""`headrace models`: versions, which of them answers, and why; and what people decide of them."""

import typer

from headrace_stack.commands.examples import examples
from headrace_stack.commands.models import diff, promote, retire, show
from headrace_stack.commands.models import list as listing

app = typer.Typer(
    help="Versions of models: list, show, diff, promote, retire.", no_args_is_help=True
)
app.command("list", epilog=examples("headrace models list", "headrace models list -o name"))(
    listing.models
)
app.command(
    "show",
    epilog=examples(
        "headrace models show support-tickets", "headrace models show support-tickets 2 -o yaml"
    ),
)(show.model)
app.command(
    "diff",
    epilog=examples(
        "headrace models diff support-tickets 1 2", "headrace models diff support-tickets base 2"
    ),
)(diff.diff)
app.command(
    "promote",
    epilog=examples('headrace models promote support-tickets 1 --reason "it was the disk" --wait'),
)(promote.promote)
app.command(
    "retire",
    epilog=examples(
        'headrace models retire support-tickets 1 --reason "trained on rows that must go"'
    ),
)(retire.retire)
