"""`headrace NOUN VERB`: a folder for each noun, a file for each verb, its HTTP call beside it."""

import typer

from headrace_stack.commands import apply, ask, chat, events, models, rollback, workloads
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
    app.command(
        "ask",
        epilog=examples(
            'headrace ask support-tickets "Where is my card?"',
            'headrace ask support-tickets "Where is my card?" --compare 1,base',
        ),
    )(ask.ask)
    app.command(
        "chat",
        epilog=examples(
            "headrace chat support-tickets", "headrace chat support-tickets --version 2"
        ),
    )(chat.chat)
