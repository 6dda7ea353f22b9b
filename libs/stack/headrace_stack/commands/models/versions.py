"""A model's name and version on the command line: completed, and the nearest where one is wrong."""

import getpass
import socket
import time
from typing import Annotated, Any

import typer

from headrace_stack.commands.api import Api, Refused, connect
from headrace_stack.commands.models.list import call as all_models
from headrace_stack.commands.names import completing, unknown
from headrace_stack.commands.output import Lines, printable
from headrace_stack.errors import StackError

BASE = "base"
_COMPLETION_SECONDS = 2.0
_LOOK_SECONDS = 0.5
_OPERATOR_CHARS = 128


def completed(ctx: typer.Context, incomplete: str) -> list[str]:
    """The versions of the model that was named before; nothing where nobody answers."""
    try:
        model = connect(seconds=_COMPLETION_SECONDS).get("models", str(ctx.params["name"]))
        found = [BASE, *(str(one["version"]) for one in model["versions"])]
    except (StackError, KeyError, TypeError):
        return []
    return [one for one in found if one.startswith(incomplete)]


Name = Annotated[
    str, typer.Argument(help="The workload's name.", autocompletion=completing("models"))
]
Version = Annotated[str, typer.Argument(help="A version: `2`.", autocompletion=completed)]
Reason = Annotated[
    str, typer.Option("--reason", help="Why: it is in the event and in the audit chain.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Until serving answers with it.")]
Seconds = Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait at most.")]


class TooLate(StackError):
    """What was waited for did not come in time."""

    exit_code = 6


def asked(api: Api, name: str, version: str | None, error: Refused) -> Refused:
    """What to say of a refusal: of an unknown name or version the nearest ones."""
    known = {model["name"]: model for model in all_models(api)}
    if name not in known:
        return unknown("model", name, known, where="headrace models list")
    versions = [one["version"] for one in known[name]["versions"]]
    if version is None or version in versions:
        return error
    return unknown(f"version of {name}", version, versions, where=f"headrace models show {name}")


def decide(
    api: Api, name: str, *path: str, version: str | None, reason: str, **more: Any
) -> dict[str, Any]:
    """POST /models/{name}/...: ask for a decision, in the name of who typed it."""
    operator = f"{getpass.getuser()}@{socket.gethostname()}"[:_OPERATOR_CHARS]
    body = {"reason": reason, "operator": operator, **more}
    try:
        done: dict[str, Any] = api.post("models", name, *path, body=body)
    except Refused as error:
        raise (asked(api, name, version, error) if error.status == 404 else error) from None
    return done


def wait_for(api: Api, done: dict[str, Any], seconds: float) -> None:
    """Return when serving answers with the version that was decided for."""
    name, wanted = done["name"], done["production"]
    until = time.monotonic() + seconds
    while (found := api.get("v1", "models", name)["version"]) != wanted:
        if time.monotonic() > until:
            raise TooLate(
                f"{name}: {wanted} is in production, and serving still answers with {found} after "
                f"{seconds:.0f} s. `headrace status` shows how serving is."
            )
        time.sleep(_LOOK_SECONDS)


def told(done: dict[str, Any], *, waited: bool) -> Lines:
    """The decision in words."""
    name, before, now = done["name"], done["before"], done["production"]
    if not done["changed"]:
        return Lines((f"{name}: it was so already; {now} is in production.",))
    lines = [f"{name}: {before} -> {now} in production" if before != now
             else f"{name}: {now} stays in production"]  # fmt: skip
    lines += [f"  version {number}: {state}" for number, state in done["states"].items()]
    if before != now:
        lines.append(
            f"Serving answers with {now}." if waited else "Serving follows within seconds."
        )
    return Lines(tuple(printable(line) for line in lines))
