"""`headrace demo`: the whole loop, on the interpreter's documentation or a file of the user's."""

import json
import re
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Annotated
from urllib.request import urlopen

import typer
from rich.console import Console

from headrace_stack import source_roots
from headrace_stack.commands_stack import start_detached
from headrace_stack.errors import StackError
from headrace_stack.paths import default_home
from headrace_stack.state import State, live_state


def register(app: typer.Typer) -> None:
    """Put the command into `app`."""
    app.command(
        epilog="Examples: `headrace demo`, "
        "`headrace demo --data intents.csv --prompt text --completion category`"
    )(demo)


def demo(
    data: Annotated[Path | None, typer.Option(help="A CSV, JSONL or Parquet file.")] = None,
    prompt: Annotated[str, typer.Option(help="The file's column of prompts.")] = "prompt",
    completion: Annotated[str, typer.Option(help="The file's column of answers.")] = "completion",
    name: Annotated[str | None, typer.Option(help="The workload's name.")] = None,
    small: Annotated[bool, typer.Option("--small", help="Few rows and steps, for tests.")] = False,
    print_manifest: Annotated[
        bool, typer.Option("--print-manifest", help="Only print the manifest that it applies.")
    ] = False,
) -> None:
    """Run the circle: ingest, curate, train, evaluate, canary, promote, and round again."""
    from headrace_stack.demo.plan import SMALL, Size, own_file, python_docs, renamed
    from headrace_stack.demo.run import Addresses, run

    if data is not None:
        _check(data, prompt, completion)
    size = SMALL if small else Size()
    if data is None:
        plan = python_docs(size, name or "python-docs")
    else:
        plan = own_file(data, prompt, completion, size, name or _workload_name(data))
    if print_manifest:
        # As JSON, which is YAML: `headrace apply -f` takes it.
        typer.echo(plan.manifest.model_dump_json(indent=2))
        return
    console = Console()
    state = _stack(console)
    if data is not None:
        source_roots.allow(Path(state.home), data)
    taken = _taken_names(state)
    if name is None and plan.manifest.metadata.name in taken:
        plan = renamed(plan, _free_name(plan.manifest.metadata.name, taken))
        console.print(
            f"This stack has turned before; this run's workload is `{plan.manifest.metadata.name}`."
        )
    run(plan, Addresses(state.base_url, state.kafka, state.mlflow, state.traces), console)


def _check(data: Path, prompt: str, completion: str) -> None:
    """Let ingest say whether it would land the file, before anything is started."""
    if not data.is_file():
        raise StackError(f"There is no file {data}. Give a CSV, JSONL or Parquet file to --data.")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "headrace_ingest.check_file", str(data),
         "--prompt", prompt, "--completion", completion],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise StackError(f"{data} cannot be used: {done.stderr.strip()}. Nothing was started.")


def _workload_name(data: Path) -> str:
    """The file's name in the letters that a workload's name may have."""
    return re.sub(r"[^a-z0-9]+", "-", data.stem.lower()).strip("-")[:63].strip("-") or "demo"


def _taken_names(state: State) -> set[str]:
    """The workloads that the stack knows, as serving lists them."""
    url = f"{state.base_url}/v1/models"
    with urlopen(url, timeout=30) as response:  # noqa: S310 - our own gateway
        return {model["id"] for model in json.load(response)["data"]}


def _free_name(name: str, taken: set[str]) -> str:
    """The name with the first number that is free."""
    return next(f"{name}-{n}" for n in count(2) if f"{name}-{n}" not in taken)


def _stack(console: Console) -> State:
    """The stack of this folder, started first where none runs."""
    home = default_home()
    state = live_state(home)
    if state is None:
        return start_detached(console, home)
    if state.phase != "up":
        raise StackError(f"The stack in {home} is {state.phase}; try again when it is up.")
    return state
