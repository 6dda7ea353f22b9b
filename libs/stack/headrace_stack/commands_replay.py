"""`headrace replay`: make a service's state again from the log."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from headrace_kit.database import sqlite_url
from headrace_stack import views
from headrace_stack.bootstrap import KAFKA_VARIABLE, bootstrap_servers
from headrace_stack.errors import StackError
from headrace_stack.paths import default_home
from headrace_stack.services import BY_NAME
from headrace_stack.state import live_state

_DATABASE, _STORAGE = "HEADRACE_DATABASE__URL", "HEADRACE_STORAGE__ROOT"
_ALIVE = ("starting", "ready", "not ready", "restarting")


def register(app: typer.Typer) -> None:
    """Put the command into `app`."""
    app.command(
        epilog="Examples: `headrace replay --service registry --into /tmp/registry.db`, "
        "`headrace replay --service ingest --into postgresql+asyncpg://ingest@db/ingest`"
    )(replay)


def replay(
    service: Annotated[str, typer.Option(help="Whose state.")],
    into: Annotated[
        str | None,
        typer.Option(
            help="An empty database: a file or SQLAlchemy's URL. Else the service's own in this "
            "stack, which must be gone or empty and the service not running."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Make a service's state again from the log, into an empty database. Nothing is published.

    The log goes back as far as the topics keep it. What the log refers to - Delta tables, uploaded
    bytes, MLflow runs - must still be there; it is not made again.
    """
    if service not in BY_NAME:
        raise StackError(f"No service is called {service}. Services: {', '.join(BY_NAME)}.")
    servers = bootstrap_servers()
    environment = {
        **os.environ,
        KAFKA_VARIABLE: servers,
        _DATABASE: database_url(service, into),
        _STORAGE: os.environ.get(_STORAGE, str(default_home() / "storage")),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "headrace_kit", "replay", "--service", service],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    *said, last = done.stdout.splitlines() or [""]
    for line in said:
        typer.echo(line, err=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [last or "no reason given"])[-1]
        raise StackError(f"Nothing was replayed: {reason}")
    report = json.loads(last)
    if as_json:
        typer.echo(json.dumps({**report, "database": environment[_DATABASE]}))
        return
    _print(report, environment[_DATABASE])


def database_url(service: str, into: str | None) -> str:
    """Return where the state goes; refuse the database of a service that runs."""
    if into:
        return into if "://" in into else sqlite_url(Path(into))
    home = default_home()
    state = live_state(home)
    part = next((p for p in state.parts if p.name == service), None) if state else None
    if part and part.state in _ALIVE:
        raise StackError(
            f"{service} runs on its database. Name an empty one with --into, or stop the stack, "
            f"start Kafka alone (`headrace up --only kafka`), move the old database away, and "
            "run this again."
        )
    if part is None and _DATABASE in os.environ:
        return os.environ[_DATABASE]
    return sqlite_url(home / "services" / service / "service.db")


def _print(report: dict[str, Any], url: str) -> None:
    table = Table(show_header=False, box=None)
    meaning = (
        ("events", "events taken in"),
        ("skipped_dead", "records passed over: they were dead letters"),
        ("failed", "events whose handler failed, as it may have done then"),
        ("unpublished", "events that were never published; they are at the next start"),
        ("open_jobs", "jobs without an end in the log; they run at the next start"),
    )
    for name, words in meaning:
        found = report[name]
        table.add_row(str(len(found) if isinstance(found, list) else found), words)
    views.console().print(table)
    views.console().print(f"State of {report['service']} is in {url}", soft_wrap=True)
