"""`headrace datasets`: versions, their rows, and the rows that were dropped."""

import typer

from headrace_stack.commands.datasets import diff, rejects, rows, show
from headrace_stack.commands.datasets import list as listing
from headrace_stack.commands.examples import examples

app = typer.Typer(
    help="Versions of datasets: list, show, rows, rejects, diff.", no_args_is_help=True
)
app.command(
    "list", epilog=examples("headrace datasets list", "headrace datasets list support-tickets")
)(listing.datasets)
app.command(
    "show",
    epilog=examples(
        "headrace datasets show support-tickets", "headrace datasets show support-tickets 2 -o yaml"
    ),
)(show.dataset)
app.command(
    "rows",
    epilog=examples("headrace datasets rows support-tickets --split holdout --show-text"),
)(rows.rows)
app.command(
    "rejects",
    epilog=examples(
        "headrace datasets rejects support-tickets",
        "headrace datasets rejects support-tickets 2 --reason near_duplicate --show-text",
    ),
)(rejects.rejects)
app.command("diff", epilog=examples("headrace datasets diff support-tickets 1 2"))(diff.diff)
