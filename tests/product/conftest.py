"""The circuit that a product service talks to: real Kafka, guardrails, serving with its echo."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from aiokafka import AIOKafkaProducer

from headrace_events import Event
from headrace_events.workload import Guard, Manifest, Metadata, Serve, Spec, WorkloadApplied
from headrace_stack.kafka import EmbeddedKafka, create_topics
from headrace_stack.ports import free_port

_READY_SECONDS = 120.0


@dataclass
class Circuit:
    """Services as processes of their own; an instance is named `<service>-<number>`."""

    folder: Path
    kafka: str
    environment: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def url(self, instance: str) -> str:
        return f"http://127.0.0.1:{self.ports[instance]}"

    def start(self, instance: str, *, wait: bool = True, **more: str) -> None:
        port = self.ports.setdefault(instance, free_port())
        service = instance.rsplit("-", 1)[0]  # replicas share their database
        with (self.folder / f"{instance}.log").open("ab") as output:
            self.running[instance] = subprocess.Popen(
                [sys.executable, "-P", "-m", f"headrace_{service}"],
                env={
                    **self.environment,
                    "HEADRACE_INSTANCE": instance,
                    "HEADRACE_HTTP__PORT": str(port),
                    "HEADRACE_DATABASE__URL": f"sqlite+aiosqlite:///{self.folder / service}.db",
                    **more,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if wait:
            self.wait_for(instance)

    def wait_for(self, instance: str) -> None:
        until = time.monotonic() + _READY_SECONDS
        while time.monotonic() < until:
            assert self.running[instance].poll() is None, self.log(instance)[-4000:]
            if self.status_of(instance) == 200:
                return
            time.sleep(0.1)
        raise AssertionError(f"{instance} is not ready: {self.log(instance)[-4000:]}")

    def status_of(self, instance: str) -> int | None:
        """What /readyz answers; None when nobody listens."""
        try:
            with urlopen(f"{self.url(instance)}/readyz", timeout=5) as response:
                return int(response.status)
        except URLError as error:
            return int(error.code) if hasattr(error, "code") else None
        except OSError:
            return None

    def metric(self, instance: str, name: str) -> float:
        """The sum of a metric over its labels."""
        with urlopen(f"{self.url(instance)}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name}{{"))

    def stop(self, instance: str, number: int = signal.SIGTERM) -> None:
        process = self.running.pop(instance)
        process.send_signal(number)
        process.wait(60)

    def log(self, instance: str) -> str:
        return (self.folder / f"{instance}.log").read_text()

    def apply(self, workload: str) -> None:
        """Apply a manifest for a workload of this name."""
        manifest = Manifest(
            apiVersion="headrace/v1",
            kind="Workload",
            metadata=Metadata(name=workload, owner="tests"),
            spec=Spec(serve=Serve(max_tokens=64), guard=Guard(max_chars=2000)),
        )
        applied = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
        event = Event[WorkloadApplied].new(applied, source="test", workload=workload)

        async def publish() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.kafka) as producer:
                headers = [(k, v.encode()) for k, v in event.headers().items()]
                await producer.send_and_wait(
                    event.topic, event.body(), workload.encode(), headers=headers
                )

        asyncio.run(publish())


@pytest.fixture(scope="session")
def circuit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circuit]:
    """Guardrails and serving with its echo engine, ready; a batch takes 20 ms.

    On a Kafka of its own: other tests' guardrails would be members of the same groups, under the
    same instance names.
    """
    with EmbeddedKafka(tmp_path_factory.mktemp("circuit-kafka")) as kafka:
        create_topics(kafka)
        yield from _circuit(kafka, tmp_path_factory)


def _circuit(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Circuit]:
    environment = {
        **os.environ,
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_SERVING__ENGINE": "echo",
        "HEADRACE_SERVING__ECHO_MS": "20",
        "HEADRACE_REPLICAS__MAX_BATCH": "4",
        "HEADRACE_REPLICAS__MAX_IN_FLIGHT": "16",
        "HEADRACE_REPLICAS__MAX_PER_WORKLOAD": "8",
        "HEADRACE_REPLICAS__MAX_WAITING": "24",
        "OMP_NUM_THREADS": "1",
    }
    found = Circuit(tmp_path_factory.mktemp("circuit"), kafka, environment)
    try:
        found.start("guardrails-0", wait=False)
        found.environment["HEADRACE_GUARDRAILS__URL"] = found.url("guardrails-0")
        found.start("serving-0", wait=False)
        for instance in ("guardrails-0", "serving-0"):
            found.wait_for(instance)
        yield found
    finally:
        for instance in list(found.running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                found.stop(instance)
