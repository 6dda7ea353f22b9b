"""What the one on call sees of a real stack of Kafka and the monitor, and of its end."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_stack.testing import RunningStack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
MANIFEST = """\
apiVersion: headrace/v1
kind: Workload
metadata: {name: watched, owner: test}
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("oncall") / ".headrace")
    done = running.headrace("up", "--detach", "--only", "kafka,monitor")
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = running.home.parent / "watched.yaml"
    manifest.write_text(MANIFEST)
    assert running.headrace("apply", "-f", str(manifest)).returncode == 0
    try:
        yield running
    finally:
        running.headrace("down")


def tail(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "headrace_stack", "events", "tail", *arguments],
        env={**os.environ, "HEADRACE_HOME": str(home), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_tail_says_what_the_console_says(up: RunningStack) -> None:
    told = up.headrace("events", "tail", "--no-follow", "--workload", "watched").stdout
    assert re.search(r"workload\.applied\.v1 +watched +revision \w+ of test", told), told
    assert "revision" in up.headrace("events", "tail", "--no-follow", "--since", "1h").stdout
    assert not up.headrace("events", "tail", "--no-follow", "--since", "2099-01-01").stdout
    refused = up.headrace("events", "tail", "--since", "yesterday")
    assert refused.returncode == 2 and "10m" in refused.stderr


def test_the_tail_ends_with_a_sentence_when_the_stack_is_gone(up: RunningStack) -> None:
    following = tail(up.home, "--from-beginning")
    assert following.stdout is not None
    assert any("watched" in line for line in iter(following.stdout.readline, ""))
    assert up.headrace("down").returncode == 0
    began = time.monotonic()
    _, errors = following.communicate(timeout=30)
    assert following.returncode == 1
    assert time.monotonic() - began < 20
    assert len(errors.strip().splitlines()) == 1, errors  # none of the library's own
    assert errors.startswith("Error: The stack in") and "is gone" in errors
