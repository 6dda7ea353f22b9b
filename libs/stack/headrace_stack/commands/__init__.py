"""`headrace NOUN VERB`: a folder for each noun, a file for each verb, its HTTP call beside it."""

import typer

from headrace_stack.commands import apply, events, lag, logs, models, rollback, workloads
from headrace_stack.commands.examples import examples

NOUNS = (events, models, workloads)


def register(app: typer.Typer) -> None:
    """Put the nouns into `app`, and the verbs that have none."""
    for noun in NOUNS:
        app.add_typer(noun.app, name=noun.__name__.rpartition(".")[2])
    register_loose(app)


def register_loose(app: typer.Typer) -> None:
    """Verbs without a noun: one line each."""
    app.command(
        "rollback",
        epilog=examples(
            'headrace rollback support-tickets --reason "complaints since 14:05"',
            'headrace rollback support-tickets --to base --reason "all of them" --wait',
        ),
    )(rollback.rollback)
    apply.register(app)
    app.command("lag", epilog=examples("headrace lag", "headrace lag --waiting -o json"))(lag.lag)
    app.command(
        "logs",
        epilog=examples("headrace logs trainer -f", "headrace logs --since 10m --level warning"),
    )(logs.show_logs)
