"""A full disk, a home that cannot be written, no home: it works, or a sentence says what to do."""

import asyncio
import contextlib
import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_stack import supervisor
from headrace_stack.disk import complaint
from headrace_stack.plan import Options
from headrace_stack.state import State, read_state
from headrace_stack.supervisor import Supervisor
from headrace_stack.testing import RunningStack

MIB = 1024 * 1024
# Nobody may make a file there, the administrator neither.
UNWRITABLE = "/proc" if sys.platform == "linux" else "/System"
MANIFEST = """\
apiVersion: headrace/v1
kind: Workload
metadata: {{name: {name}, owner: test}}
"""


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Mount a file system of so many MiB; skip where only an administrator may."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write until nothing more fits."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as writer, contextlib.suppress(OSError):
        for size in (MIB, 4096):
            with contextlib.suppress(OSError):
                while True:
                    writer.write(b"x" * size)
    return file


def headrace(*arguments: str, **environment: str | None) -> "subprocess.CompletedProcess[str]":
    own = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **environment}
    return subprocess.run(
        [sys.executable, "-P", "-m", "headrace_stack", *arguments],
        env={name: value for name, value in own.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_state_that_cannot_be_written_leaves_the_last_one_and_ends_nobody(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        state = State(stack_id="x", home=str(disk), phase="up")
        state.write()
        fill(disk)
        state.phase, state.error = "stopping", "long" * 4096
        state.write()
        assert "No space left on device" in capfd.readouterr().err
        assert complaint(disk).startswith(f"The disk that holds {disk} is full")
        last = read_state(disk)
        assert last is not None and last.phase == "up"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
async def test_what_cannot_even_be_logged_ends_no_work_of_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log lies on the disk that is full."""
    monkeypatch.setattr(supervisor, "AGAIN_SECONDS", 0.01)
    tries = 0

    async def life() -> None:
        nonlocal tries
        tries += 1
        State(stack_id="x", home=f"{UNWRITABLE}/home").write()
        if tries < 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    with open("/dev/full", "w", buffering=1) as full:  # noqa: ASYNC230, PTH123 - a device
        monkeypatch.setattr(sys, "stderr", full)
        try:
            watched = Supervisor(Options(home=tmp_path))._again(life)
            await asyncio.wait_for(watched, 10)
        finally:
            monkeypatch.undo()
            with contextlib.suppress(OSError):
                full.close()
    assert tries == 3


def test_up_on_a_full_disk_starts_nothing_and_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        done = headrace("up", "--only", "kafka", HEADRACE_HOME=str(disk / "home"))
    assert done.returncode == 1
    assert "is full: free some space there" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"HEADRACE_HOME": f"{UNWRITABLE}/stack"}, f"{UNWRITABLE}/stack"),
        ({"HEADRACE_CACHE": f"{UNWRITABLE}/cache"}, "Set HEADRACE_CACHE to a folder that can"),
        ({"HEADRACE_HOME": "my%20stack"}, "Delta tables cannot lie in"),
        ({"HEADRACE_HOME": "Company, Inc"}, "its path has a comma"),
    ],
)
def test_a_place_that_cannot_be_used_is_named(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    home = str(tmp_path / environment.get("HEADRACE_HOME", "home"))
    done = headrace("up", "--only", "kafka", **{**environment, "HEADRACE_HOME": home})
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_disk_that_fills_up_loses_nothing_and_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 160) as disk:
        stack = RunningStack(disk / ".headrace")
        up = stack.headrace("up", "--detach", "--only", "kafka,guardrails")
        assert up.returncode == 0, up.stdout + up.stderr
        try:
            assert apply(stack, tmp_path, "before").returncode == 0
            filler = fill(disk)
            refused = apply(stack, tmp_path, "meanwhile")
            told = stack.headrace("status").stdout
            assert "is full: free some space" in told
            assert "is full" in stack.status()["problem"]
            assert "Traceback" not in refused.stderr
            filler.unlink()
            until_applied(stack, tmp_path, "after")
            seen = events(stack)
            assert "before" in seen and "after" in seen
            # What was acknowledged is kept; what was not was refused aloud.
            assert ("meanwhile" in seen) or refused.returncode != 0
        finally:
            assert stack.headrace("down").returncode == 0


def apply(stack: RunningStack, folder: Path, name: str) -> "subprocess.CompletedProcess[str]":
    file = folder / f"{name}.yaml"
    file.write_text(MANIFEST.format(name=name))
    return stack.headrace("apply", "-f", str(file))


def until_applied(stack: RunningStack, folder: Path, name: str, seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while (done := apply(stack, folder, name)).returncode:
        assert time.monotonic() < deadline, done.stderr + stack.headrace("status").stdout
        time.sleep(1)


def events(stack: RunningStack) -> set[str]:
    tail = stack.headrace("events", "tail", "--from-beginning", "--no-follow", "--json").stdout
    return {json.loads(line)["workload"] for line in tail.splitlines()}
