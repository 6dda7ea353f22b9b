"""The command line of the benches."""

import typer

from headrace_bench.event_path import commands as event_path
from headrace_bench.faults import commands as faults
from headrace_bench.soak import commands as soak

app = typer.Typer(
    help="Benches and the fault suite: each prints one table and writes JSON to bench/results.",
    no_args_is_help=True,
)
faults.register(app)
event_path.register(app)
soak.register(app)


@app.callback()
def _group() -> None:
    """Keeps the commands words of their own."""
