"""Pytest fixtures that start real parts of the stack, and the whole of it."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_UP_SECONDS = 300
_RAY_SECONDS = 180


@contextlib.contextmanager
def running_kafka(home: Path) -> Iterator[str]:
    """Run a real Kafka with all topics, its data in `home`; yield host:port."""
    from headrace_stack.kafka import EmbeddedKafka, create_topics

    node = EmbeddedKafka(home)
    bootstrap = node.start()
    try:
        create_topics(bootstrap)
        yield bootstrap
    finally:
        node.stop()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one real Kafka for the whole test session; yield host:port.

    Tests share it, so each uses workload names of its own. A service that would spend minutes on
    what other tests left in the log overrides this fixture with a `running_kafka` of its own.
    """
    with running_kafka(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def ray_head_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start one real Ray head for the session; yield what a service needs in its environment."""
    from headrace_stack import ray_head
    from headrace_stack.ports import free_range

    home = tmp_path_factory.mktemp("ray")
    ray_head.make_token(home)
    stack, first = secrets.token_hex(4), free_range(ray_head.PORTS)
    environment = {**ray_head.environment(home), "OMP_NUM_THREADS": "1"}
    log = home / "head.log"
    with log.open("wb") as output:
        head = subprocess.Popen(
            ray_head.command(stack, first),
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    folder = ray_head.temporary_folder(stack)
    try:
        until = time.monotonic() + _RAY_SECONDS
        while not (folder / "ready").exists():
            if head.poll() is not None or time.monotonic() > until:
                pytest.fail(f"the Ray head did not come up: {log.read_text()}")
            time.sleep(0.2)
        yield {**environment, "HEADRACE_RAY__ADDRESS": f"127.0.0.1:{first}"}
    finally:
        head.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)  # its own session: only this head's processes
        shutil.rmtree(folder, ignore_errors=True)


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
        [sys.executable, "-P", "-m", "headrace_stack", *arguments],
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
