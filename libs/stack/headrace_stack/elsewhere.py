"""Run one service from somewhere else: another checkout, or a command of the user's.

HEADRACE_STACK_SERVICE_<NAME>=FOLDER   the service and the libraries of that checkout, with its own
                                       `.venv` if it has one, else with this interpreter
HEADRACE_STACK_SERVICE_<NAME>=COMMAND  anything else that listens where the stack tells it to
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace_stack.errors import StackError
from headrace_stack.services import Service

_PREFIX = "HEADRACE_STACK_SERVICE_"
# Ray starts workers from its head, not from the service: they are told by the job's settings.
_RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


@dataclass(frozen=True)
class Start:
    """How a service is started."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def variable(service: str) -> str:
    """Return the setting that moves a service."""
    return _PREFIX + service.upper().replace("-", "_")


def start_of(service: Service, environment: Mapping[str, str] = os.environ) -> Start:
    """Return how to start `service`: from here, unless its setting says otherwise."""
    wanted = environment.get(variable(service.name), "").strip()
    if not wanted:
        return Start((sys.executable, "-m", service.module))
    folder = Path(wanted).expanduser()
    if folder.is_dir():
        return _checkout(service, folder.resolve(), environment.get("PYTHONPATH", ""))
    command = tuple(shlex.split(wanted))
    if "/" in command[0] and not Path(command[0]).expanduser().is_file():
        raise StackError(
            f"{variable(service.name)} is `{wanted}`: neither a folder nor a program. Give the "
            "folder of a checkout, or a command."
        )
    return Start(command)


def _checkout(service: Service, folder: Path, python_path: str) -> Start:
    package = folder / "services" / service.name
    if not (package / service.module).is_dir():
        raise StackError(
            f"{variable(service.name)} is {folder}, where there is no {service.module}: name the "
            "root of a checkout of Headrace."
        )
    own = folder / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    # Before site-packages, so that the checkout's code counts in whichever environment.
    sources = [str(path) for path in sorted((folder / "libs").iterdir()) if path.is_dir()]
    path = os.pathsep.join(filter(None, [str(package), *sources, *python_path.split(os.pathsep)]))
    workers: dict[str, object] = {"env_vars": {"PYTHONPATH": path}}
    if own.exists():
        workers["py_executable"] = shlex.quote(python)  # Ray gives it to a shell
    environment = {"PYTHONPATH": path, _RAY_JOB: json.dumps({"runtime_env": workers})}
    return Start((python, "-m", service.module), environment)
