"""Where a stack keeps its things, and which stack a folder is."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from headrace_stack.errors import StackError

HOME_VARIABLE = "HEADRACE_HOME"
CACHE_VARIABLE = "HEADRACE_CACHE"
STACK_ID_VARIABLE = "HEADRACE_STACK_ID"


def default_home() -> Path:
    """`HEADRACE_HOME`, or `.headrace` in the current folder."""
    return Path(os.environ.get(HOME_VARIABLE) or ".headrace").resolve()


def cache_folder() -> Path:
    """`HEADRACE_CACHE`, or the folder `headrace` among the caches of the user."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).resolve()
    try:
        return Path.home() / ".cache" / "headrace"
    except RuntimeError as error:
        raise StackError(
            f"This user has no home folder: set {CACHE_VARIABLE} to a folder for what is fetched "
            "once."
        ) from error


def stack_id(home: Path) -> str:
    """The mark that every process of the stack at `home` carries in its environment."""
    return hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]


def write_json(path: Path, value: Any) -> None:
    """Write `value` so that a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(value, file, indent=1)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
