"""A part that dies is started again, later each time; one that cannot start is given up."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from headrace_stack import runner
from headrace_stack.plan import Planned
from headrace_stack.processes import child_environment, marked_processes, sweep
from headrace_stack.runner import Runner, backoff
from headrace_stack.state import Part

SLEEPS = "import time; time.sleep(60)"
# A child of its own, as MLflow and Ray have.
HAS_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{SLEEPS}'])"


def test_backoff_is_quick_at_first_and_bounded() -> None:
    assert [backoff(n) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert backoff(100) == 30.0


async def test_killed_part_is_started_again_and_counted(tmp_path: Path) -> None:
    changes: list[str] = []
    made = _runner(tmp_path, SLEEPS, changes)
    task = asyncio.create_task(made.run([]))
    try:
        await asyncio.wait_for(made.ready.wait(), 10)
        first = made.part.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await _until(lambda: made.part.pid not in (None, first) and made.ready.is_set())
        assert made.part.restarts == 1
        assert made.part.problem.startswith("killed by signal 9")
        assert changes == ["starting", "ready", "restarting", "starting", "ready"]
    finally:
        task.cancel()
        await made.stop()
    assert not marked_processes(made.planned.environment["HEADRACE_STACK_ID"])


async def test_part_that_never_comes_up_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "FIRST_BACKOFF", 0.01)
    made = _runner(tmp_path, "raise SystemExit(7)", [], ready=_never)
    await asyncio.wait_for(made.run([]), 30)
    assert made.part.state == "failed"
    assert made.part.restarts == runner.TRIES_BEFORE_READY
    assert "ended with code 7" in made.part.problem


async def test_children_of_a_dead_part_do_not_stay(tmp_path: Path) -> None:
    made = _runner(tmp_path, HAS_A_CHILD, [])
    task = asyncio.create_task(made.run([]))
    try:
        await asyncio.wait_for(made.ready.wait(), 10)
        assert made.part.pid is not None
        parent = psutil.Process(made.part.pid)
        await _until(lambda: len(parent.children()) == 1)
        (orphan,) = parent.children()
        parent.kill()
        await _until(lambda: not orphan.is_running())
    finally:
        task.cancel()
        await made.stop()


async def test_sweep_finds_what_a_crash_left(tmp_path: Path) -> None:
    made = _runner(tmp_path, HAS_A_CHILD, [])
    task = asyncio.create_task(made.run([]))
    await asyncio.wait_for(made.ready.wait(), 10)
    assert made.part.pid is not None
    parent = psutil.Process(made.part.pid)
    await _until(lambda: len(parent.children()) == 1)
    task.cancel()  # nobody watches over it any more
    stack = made.planned.environment["HEADRACE_STACK_ID"]
    assert await asyncio.to_thread(sweep, stack) == 2
    assert not marked_processes(stack)
    await made.stop()


def _runner(
    folder: Path,
    code: str,
    changes: list[str],
    ready: Callable[[], Awaitable[bool]] | None = None,
) -> Runner:
    stack = f"test-{os.getpid()}-{folder.name}"
    planned = Planned("part", "service", "", (), child_environment(stack), "http", "")
    part = Part(name="part", kind="service", log=str(folder / "part.log"))

    async def command() -> list[str]:
        return [sys.executable, "-c", code]

    def changed() -> None:
        changes.append(part.state)

    return Runner(planned, part, changed=changed, ready=ready or _always, command=command)


async def _always() -> bool:
    return True


async def _never() -> bool:
    return False


async def _until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what it waits for sets no event
            await asyncio.sleep(0.02)


async def test_a_part_that_is_not_ready_says_why(tmp_path: Path) -> None:
    """What /readyz names is what `headrace status` shows, until it is ready again."""
    checks = {"started": True, "background relay": True, "consuming": True}

    async def readyz(_request: web.Request) -> web.Response:
        return web.json_response({"checks": checks}, status=200 if all(checks.values()) else 503)

    async def ready() -> bool:
        return all(checks.values())

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    site = web.AppRunner(app)
    await site.setup()
    await web.TCPSite(site, "127.0.0.1", 0).start()
    made = _runner(tmp_path, SLEEPS, [], ready=ready)
    made.part.url = f"http://127.0.0.1:{site.addresses[0][1]}"
    task = asyncio.create_task(made.run([]))
    try:
        await asyncio.wait_for(made.ready.wait(), 10)
        checks["background relay"] = False
        await _until(lambda: made.part.problem == "not ready: background relay")
        assert made.part.state == "not ready"
        checks["consuming"] = False
        await _until(lambda: made.part.problem == "not ready: background relay, consuming")
        checks |= {"background relay": True, "consuming": True}
        await asyncio.wait_for(made.ready.wait(), 10)
        assert (made.part.state, made.part.problem) == ("ready", "")
    finally:
        task.cancel()
        await made.stop()
        await site.cleanup()
