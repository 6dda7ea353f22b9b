"""A handle on the stack in a folder: start it, look at it, stop it. For the CLI and for tests."""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from headrace_stack import logs, ray_head, source_roots
from headrace_stack.disk import START_BYTES, complaint
from headrace_stack.errors import StackError
from headrace_stack.paths import stack_id
from headrace_stack.plan import Options
from headrace_stack.processes import child_environment, spawn, sweep
from headrace_stack.state import State, live_state, read_state

LAUNCH_SECONDS = 20.0
STOP_SECONDS = 60.0
POLL = 0.2


class Stack:
    """The embedded stack at `home`; its supervisor is a process of its own."""

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        kafka_port: int | None = None,
        only: tuple[str, ...] | None = None,
        timeout_seconds: float = 300.0,
        without: tuple[str, ...] = (),
        stable_seconds: float = 60.0,
    ) -> None:
        self.home = home.resolve()
        self.options = Options(
            self.home, port, kafka_port, only, timeout_seconds, without, stable_seconds
        )
        self._launched: subprocess.Popen[bytes] | None = None

    def state(self) -> State | None:
        """What the supervisor wrote last, when it lives."""
        return live_state(self.home)

    def start(self, on_change: Callable[[State], None] | None = None) -> State:
        """Start everything and wait until it is ready; the supervisor ends with this process."""
        self.launch()
        return self.wait_ready(on_change)

    def launch(self, *, detached: bool = False) -> None:
        """Start the supervisor; a detached one lives on when this process ends."""
        if reason := complaint(self.home, START_BYTES):
            raise StackError(f"{reason}.")
        self.options.write()
        source_roots.allow(self.home, Path.cwd())
        command = [sys.executable, "-m", "headrace_stack.supervisor", "--home", str(self.home)]
        log = logs.log_file(self.home, "supervisor")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        environment = child_environment(stack_id(self.home))
        self._launched = spawn(command, environment, log, dies_with_parent=not detached)

    def wait_ready(self, on_change: Callable[[State], None] | None = None) -> State:
        """Wait until all is ready; raise StackError with the reason when it will not be."""
        assert self._launched is not None  # noqa: S101 - `launch` comes first
        while True:
            state = read_state(self.home)
            if state and state.supervisor_pid == self._launched.pid:
                if on_change:
                    on_change(state)
                if state.phase == "up":
                    return state
            if self._launched.poll() is not None:
                raise StackError(self._why_it_ended())
            time.sleep(POLL)

    def _why_it_ended(self) -> str:
        state = read_state(self.home)
        if state and self._launched and state.supervisor_pid == self._launched.pid and state.error:
            return state.error
        log = logs.log_file(self.home, "supervisor")
        last = "\n".join(logs.tail(log, 15))
        self.stop()  # it was killed: what it started must not stay
        return f"The supervisor ended before the stack was ready. {log} ends with:\n{last}"

    def wait_end(self) -> None:
        """Wait until the supervisor that this object launched has ended."""
        assert self._launched is not None  # noqa: S101 - `launch` comes first
        self._launched.wait()

    def stop(self) -> int:
        """Stop everything, also what a crashed supervisor left behind; the processes stopped."""
        stopped = 0
        state = live_state(self.home)
        supervisor = state.supervisor() if state else None
        if supervisor is not None:
            stopped = 1 + sum(part.pid is not None for part in state.parts) if state else 1
            with contextlib.suppress(psutil.NoSuchProcess):
                supervisor.terminate()
                with contextlib.suppress(psutil.TimeoutExpired):
                    supervisor.wait(STOP_SECONDS)
        if self._launched is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._launched.wait(STOP_SECONDS if supervisor else 0.1)
        identity = stack_id(self.home)
        temporary = ray_head.temporary_folder(identity)
        stopped += sweep(identity, (f"{temporary}/",))
        shutil.rmtree(temporary, ignore_errors=True)
        last = read_state(self.home)
        if last and last.phase not in ("down", "failed"):
            last.phase = "down"
            for part in last.parts:
                part.pid, part.state = None, "stopped"
            last.write()
        return stopped

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
