"""`headrace workloads`: what each use of a model does now, and why it waits."""

import typer

from headrace_stack.commands.examples import examples
from headrace_stack.commands.workloads import get
from headrace_stack.commands.workloads import list as listing

app = typer.Typer(help="Workloads: list, get.", no_args_is_help=True)
app.command("list", epilog=examples("headrace workloads list", "headrace workloads list --watch"))(
    listing.workloads
)
app.command(
    "get",
    epilog=examples(
        "headrace workloads get support-tickets",
        "headrace workloads get support-tickets -o yaml",
    ),
)(get.workload)
