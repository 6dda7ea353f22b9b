"""What the supervisor writes down about a stack, and whether that supervisor still lives."""

from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, Field, ValidationError

from headrace_stack import logs
from headrace_stack.paths import write_json
from headrace_stack.processes import resident_bytes
from headrace_stack.watchdog import STALE_SECONDS, silent_seconds

Phase = Literal["starting", "up", "stopping", "down", "failed"]
PartState = Literal["waiting", "starting", "ready", "not ready", "restarting", "failed", "stopped",
                    "unknown"]  # fmt: skip
STATE_FILE = "state.json"


class Part(BaseModel):
    """One process (with its children) of the stack."""

    name: str
    kind: Literal["engine", "service"]
    url: str = ""
    state: PartState = "waiting"
    pid: int | None = None
    restarts: int = 0
    version: str = ""
    seconds: float | None = None
    """From the start of its process until it was ready."""
    problem: str = ""
    """Why it is not ready, or why it was restarted last."""
    last_line: str = ""
    """What its log ended with when it died last."""
    log: str = ""

    def rss_bytes(self) -> int:
        """Resident memory of the process and its children, now."""
        return resident_bytes(self.pid) if self.pid else 0


class State(BaseModel):
    """A stack as its supervisor sees it."""

    stack_id: str
    home: str
    phase: Phase = "starting"
    error: str = ""
    supervisor_pid: int = 0
    supervisor_created: float = 0.0
    """With the pid: process ids are used again, so a pid alone may be a stranger's."""
    base_url: str = ""
    kafka: str = ""
    mlflow: str = ""
    traces: str = ""
    ray: str = ""
    seconds: float | None = None
    """From the start until every part was ready."""
    parts: list[Part] = Field(default_factory=list)

    def part(self, name: str) -> Part:
        """The part called `name`."""
        return next(part for part in self.parts if part.name == name)

    def supervisor(self) -> psutil.Process | None:
        """The supervisor's process while it lives."""
        try:
            process = psutil.Process(self.supervisor_pid)
            created = process.create_time()
            dead = process.status() == psutil.STATUS_ZOMBIE
        except (psutil.Error, ValueError):
            return None
        return None if dead or abs(created - self.supervisor_created) > 1 else process

    def stale_seconds(self) -> float | None:
        """How long the supervisor has not moved, or None while it does."""
        if self.phase not in ("starting", "up"):
            return None
        silent = silent_seconds(Path(self.home))
        return silent if silent > STALE_SECONDS else None

    def write(self) -> None:
        """Replace the state file in the home, in one step.

        Where that is impossible the log says why and the last file stays.
        """
        try:
            write_json(Path(self.home) / STATE_FILE, self.model_dump())
        except OSError as error:
            logs.note(f"{STATE_FILE} is not written: {error.strerror}")


def read_state(home: Path) -> State | None:
    """The state of the stack at `home`, or None where there never was one."""
    try:
        return State.model_validate_json((home / STATE_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def live_state(home: Path) -> State | None:
    """The state when its supervisor lives, else None."""
    state = read_state(home)
    return state if state and state.supervisor() else None
