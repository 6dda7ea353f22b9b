"""A supervisor that stands still ends with its stacks in the log; `status` says so meanwhile."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from headrace_stack import watchdog
from headrace_stack.commands_stack import UNWATCHED
from headrace_stack.paths import stack_id
from headrace_stack.state import Part, State
from headrace_stack.testing import headrace

LOOP = """\
import asyncio, re
from headrace_stack import watchdog

def stands_still():
    re.match(r"(a+)+$", "a" * 60 + "b")  # keeps Python's lock

async def main():
    for beat in range(8):
        watchdog.arm(2.0)
        await asyncio.sleep(0.5)
    {then}

asyncio.run(main())
"""


@pytest.mark.parametrize(("then", "code"), [("watchdog.disarm()", 0), ("stands_still()", 1)])
def test_a_loop_that_stands_still_ends_with_its_stack_in_the_log(then: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOOP.format(then=then)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert ("stands_still" in done.stderr) is (code == 1)


@pytest.mark.parametrize(("silent", "hung"), [(-60.0, False), (watchdog.STALE_SECONDS + 5, True)])
def test_status_does_not_believe_a_supervisor_that_does_not_move(
    tmp_path: Path, silent: float, hung: bool
) -> None:
    me = psutil.Process()
    State(
        stack_id=stack_id(tmp_path), home=str(tmp_path), phase="up", supervisor_pid=me.pid,
        supervisor_created=me.create_time(),
        parts=[Part(name="ingest", kind="service", state="ready")],
    ).write()  # fmt: skip
    watchdog.write_beat(tmp_path)
    watchdog.write_beat(tmp_path)  # over the first
    (note,) = tmp_path.glob("heartbeat")
    note.write_text(str(float(note.read_text()) - silent))
    told = headrace(tmp_path, "status", "--json")
    assert told.returncode == (UNWATCHED if hung else 0), told.stderr
    report = json.loads(told.stdout)
    assert report["state"] == ("hung" if hung else "up")
    assert report["services"][0]["state"] == ("unknown" if hung else "ready")
    table = headrace(tmp_path, "status")
    assert table.returncode == told.returncode
    assert ("has not moved" in table.stdout) is hung
    assert ("ready" in table.stdout) is not hung
    again = headrace(tmp_path, "up", "--detach")
    assert ("does not move" in again.stderr) is hung
