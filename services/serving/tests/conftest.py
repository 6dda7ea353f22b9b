"""The real things that serving's integration tests stand on: Ray head, guardrails, serving."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from headrace_stack.ports import free_port
from headrace_stack.testing import running_kafka

_READY_SECONDS = 240.0


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}: {log.read_text()[-4000:]}")
        with contextlib.suppress(URLError, OSError), urlopen(url, timeout=5) as response:
            if response.status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"{url} is not ready: {log.read_text()[-4000:]}")


@dataclass
class Processes:
    """Serving and guardrails as processes of their own, on a real Kafka and a real Ray head."""

    folder: Path
    kafka: str
    environment: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self, name: str, **more: str) -> None:
        port = self.ports.setdefault(name, free_port())
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", f"headrace_{name}"],
                env={
                    **self.environment,
                    "HEADRACE_HTTP__PORT": str(port),
                    "HEADRACE_DATABASE__URL": f"sqlite+aiosqlite:///{self.folder / name}.db",
                    **more,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(f"{self.url(name)}/readyz", self.running[name], log)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.running.pop(name)
        process.send_signal(number)
        process.wait(60)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kafka of its own: serving would deploy every model that other tests approved."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def ray(ray_head_environment: dict[str, str]) -> dict[str, str]:
    """What a driver needs in its environment to reach a real Ray head."""
    return ray_head_environment


@pytest.fixture(scope="session")
def processes(
    kafka: str, ray: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    """Guardrails and serving, ready."""
    folder = tmp_path_factory.mktemp("services")
    environment: dict[str, Any] = {
        **os.environ,
        **ray,
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "OMP_NUM_THREADS": "1",
        # Tests compare whole answers, and bf16 rounds by the shape of the batch.
        "HEADRACE_REPLICAS__DTYPE": "float32",
    }
    found = Processes(folder, kafka, environment)
    try:
        found.start("guardrails")
        found.environment["HEADRACE_GUARDRAILS__URL"] = found.url("guardrails")
        found.start("serving")
        yield found
    finally:
        for name in list(found.running):
            found.kill(name, signal.SIGTERM)
