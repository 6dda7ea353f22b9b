"""kill -9 of each of the eight services while the circle turns: it is started again and closes."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from headrace_stack.testing import RunningStack

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

# When each is at work, or owes the next event: (after this event of turn 1, kill this service).
MOMENTS = (
    ("workload.applied.v1", "ingest"),
    ("records.landed.v1", "data-quality"),
    ("training.started.v1", "trainer"),
    ("training.completed.v1", "registry"),
    ("model.registered.v1", "evaluator"),
    ("model.approved.v1", "serving"),
    ("rollout.started.v1", "guardrails"),
    ("canary.judged.v1", "monitor"),
)


def pid_of(stack: RunningStack, service: str) -> int | None:
    (found,) = [s for s in stack.status()["services"] if s["name"] == service]
    return found["pid"]


def test_the_circle_closes_although_each_service_dies_once(stack: RunningStack) -> None:
    restarts = {s["name"]: s["restarts"] for s in stack.status()["services"]}
    process = subprocess.Popen(
        [sys.executable, "-u", "-P", "-m", "headrace_stack", "demo", "--small",
         "--name", "killed-docs"],
        env={**os.environ, "HEADRACE_HOME": str(stack.home), "NO_COLOR": "1", "COLUMNS": "200"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    killed: list[str] = []
    lines: list[str] = []
    waiting = dict(MOMENTS)
    watchdog = threading.Timer(1100, process.kill)
    watchdog.start()
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        for event, service in list(waiting.items()):
            if event in line and "turn 1" in line:
                del waiting[event]
                pid = pid_of(stack, service)
                assert pid is not None, f"{service} is not running"
                os.kill(pid, signal.SIGKILL)
                killed.append(service)
    watchdog.cancel()
    output = "".join(lines)
    assert process.wait() == 0, output[-6000:]
    assert sorted(killed) == sorted(service for _, service in MOMENTS)
    time.sleep(2)
    status = {s["name"]: s for s in stack.status()["services"]}
    for service in killed:
        assert status[service]["state"] == "ready", status[service]
        assert status[service]["restarts"] == restarts[service] + 1, status[service]
