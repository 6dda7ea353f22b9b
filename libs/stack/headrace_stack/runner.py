"""Keep one part running: start it, see when it is ready, start it again when it dies."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import psutil

from headrace_stack import logs
from headrace_stack.disk import complaint
from headrace_stack.log_lines import details, read
from headrace_stack.plan import Planned
from headrace_stack.processes import family, spawn, stop_all
from headrace_stack.state import Part

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0
PROBE_STARTING = 0.25
PROBE_READY = 2.0
WATCH = 0.1
NOT_READY = "not ready"
LAST_WORDS = 300
TRIES_BEFORE_READY = 5
"""A part that dies this often before it was ever ready will not come up by itself."""


def backoff(deaths: int) -> float:
    """Seconds to wait after so many deaths in a row: 0.5, 1, 2, ... 30."""
    exponent = min(deaths - 1, 10)
    return min(FIRST_BACKOFF * 2.0**exponent, LONGEST_BACKOFF)


class Runner:
    """The life of one part; `part` is what the rest of the stack sees of it."""

    def __init__(
        self,
        planned: Planned,
        part: Part,
        *,
        changed: Callable[[], None],
        ready: Callable[[], Awaitable[bool]],
        command: Callable[[], Awaitable[list[str]]],
        stable_seconds: float = 60.0,
    ) -> None:
        self.planned = planned
        self.part = part
        self.ready = asyncio.Event()
        self._changed = changed
        self._probe = ready
        self._command = command
        # A part that lived this long starts at the first back-off again.
        self._stable_seconds = stable_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._was_ready = False
        self._in_a_row = 0
        self._last_death = ""

    async def run(self, waits_for: list["Runner"]) -> None:
        """Run until cancelled, or until the part fails for good."""
        for other in waits_for:
            await other.ready.wait()
        while True:
            await self._start()
            started = time.monotonic()
            await self._watch(started)
            lived = time.monotonic() - started
            self.ready.clear()
            self._in_a_row = 1 if lived > self._stable_seconds else self._in_a_row + 1
            self._report_death(lived)
            # It waits for the processes; the other parts are watched meanwhile.
            await asyncio.to_thread(self._reap_children)
            if not self._was_ready and self._in_a_row >= TRIES_BEFORE_READY:
                self._set("failed")
                return
            await asyncio.sleep(backoff(self._in_a_row))

    async def _start(self) -> None:
        if self.planned.remove_first:
            self.planned.remove_first.unlink(missing_ok=True)
        command = await self._command()
        # Here, on the main thread: the kernel ends children when the thread that made them ends.
        self._process = spawn(command, self.planned.environment, Path(self.part.log))
        self.part.pid = self._process.pid
        logs.tell("started", part=self.part.name, pid=self.part.pid)
        self._set("starting")

    async def _watch(self, started: float) -> None:
        """Probe until the process is gone."""
        assert self._process is not None  # noqa: S101 - set by _start
        next_probe = 0.0
        while self._process.poll() is None:
            now = time.monotonic()
            if now >= next_probe:
                answers = await self._probe()
                if answers and not self.ready.is_set():
                    if self.part.seconds is None:
                        self.part.seconds = round(now - started, 1)
                    self._was_ready = True
                    self.ready.set()
                    logs.tell(
                        "ready",
                        part=self.part.name,
                        pid=self.part.pid,
                        seconds=round(now - started, 1),
                    )
                    if self.part.problem.startswith(NOT_READY):
                        self.part.problem = self._last_death
                    self._set("ready")
                elif not answers and (self.ready.is_set() or self.part.state == NOT_READY):
                    await self._report_not_ready()
                pause = PROBE_READY if self.ready.is_set() else PROBE_STARTING
                next_probe = time.monotonic() + pause
            await asyncio.sleep(WATCH)

    async def _report_not_ready(self) -> None:
        """Say which of its checks fails, as its /readyz names it."""
        was_ready, before = self.ready.is_set(), self.part.problem
        self.ready.clear()
        failing = await failing_checks(f"{self.part.url}/readyz") if self.part.url else []
        if failing:
            self.part.problem = f"{NOT_READY}: {', '.join(failing)}"
        if was_ready or before != self.part.problem:
            self._set(NOT_READY)

    def _report_death(self, lived: float) -> None:
        assert self._process is not None  # noqa: S101 - set by _start
        code = self._process.returncode
        self.part.last_line = last_words(self.part)
        logs.tell(
            "ended",
            "error",
            part=self.part.name,
            pid=self.part.pid,
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            lived_seconds=round(lived, 1),
            again_in_seconds=backoff(self._in_a_row),
            last_line=self.part.last_line,
        )
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        self.part.pid, self.part.version = None, ""
        self.part.restarts += 1
        full = complaint(Path(self.part.log).parent)
        self.part.problem = f"{how} at {time.strftime('%H:%M:%S')}" + (f". {full}" if full else "")
        self._last_death = self.part.problem
        self._set("restarting")

    def _reap_children(self) -> None:
        """End what the dead process left behind in its process group."""
        assert self._process is not None  # noqa: S101 - set by _start
        group = self._process.pid
        left = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if _group_of(process.pid) == group:
                    left.append(process)
        stop_all(left, seconds=2)

    def _set(self, state: str) -> None:
        self.part.state = state  # type: ignore[assignment]
        self._changed()

    async def stop(self) -> None:
        """End the process and its children."""
        process, self._process = self._process, None
        self.ready.clear()
        if process is not None and process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                members = family(psutil.Process(process.pid))
                await asyncio.to_thread(stop_all, members, self.planned.stop_seconds)
            await asyncio.to_thread(process.wait)
            code = process.returncode
            logs.tell(
                "stopped",
                part=self.part.name,
                pid=process.pid,
                code=code if code >= 0 else None,
                signal=-code if code < 0 else None,
            )
        self.part.pid = None
        self._set("stopped")


def last_words(part: Part) -> str:
    """The last line of a dead part's log, in words: the event of a line of JSON."""
    told = list(read(part.name, [logs.last_line(Path(part.log))]))
    if not told:
        return ""
    text = " ".join((told[0].event, details(told[0]))).strip()
    return text if len(text) <= LAST_WORDS else text[: LAST_WORDS - 1] + "…"


def _group_of(pid: int) -> int:
    return os.getpgid(pid)


async def failing_checks(url: str) -> list[str]:
    """The readiness checks that fail at `url`, by name; none where it does not tell."""
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            checks = (await response.json()).get("checks", {})
            return sorted(name for name, good in checks.items() if good is False)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, AttributeError):
        return []


async def http_ok(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether `url` answers 200 within two seconds."""
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
