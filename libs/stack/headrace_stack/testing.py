"""Pytest fixtures that start real parts of the stack, and the whole of it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_UP_SECONDS = 300


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one real Kafka for the whole test session, with all topics; yield host:port.

    Tests share it, so each uses workload names of its own.
    """
    from headrace_stack.kafka import EmbeddedKafka, create_topics

    home: Path = tmp_path_factory.mktemp("kafka")
    node = EmbeddedKafka(home)
    bootstrap = node.start()
    try:
        create_topics(bootstrap)
        yield bootstrap
    finally:
        node.stop()


@dataclass(frozen=True)
class RunningStack:
    """A whole stack that tests may use and hurt."""

    home: Path

    def headrace(
        self, *arguments: str, timeout: float = _UP_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line on this stack."""
        return headrace(self.home, *arguments, timeout=timeout)

    def status(self) -> dict[str, Any]:
        """Return what `headrace status --json` says."""
        found: dict[str, Any] = json.loads(self.headrace("status", "--json").stdout)
        return found

    @property
    def base_url(self) -> str:
        """The one base URL."""
        return str(self.status()["base_url"])


def headrace(
    home: Path, *arguments: str, timeout: float = _UP_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run `headrace` as a user would, with its home in `home`."""
    return subprocess.run(
        [sys.executable, "-m", "headrace_stack", *arguments],
        env={**os.environ, "HEADRACE_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Start the whole stack once for the test session; nothing is left of it afterwards."""
    home = tmp_path_factory.mktemp("stack") / ".headrace"
    running = RunningStack(home)
    up = running.headrace("up", "--detach")
    if up.returncode:
        pytest.fail(f"the stack did not come up: {up.stdout}{up.stderr}")
    try:
        yield running
    finally:
        down = running.headrace("down")
        if down.returncode:
            pytest.fail(f"the stack did not go down: {down.stdout}{down.stderr}")
