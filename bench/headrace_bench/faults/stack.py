"""The real stack without Ray and MLflow: Kafka, the eight services, and an engine that echoes."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace_bench.faults.state import Databases
from headrace_kit.database import sqlite_url
from headrace_stack.services import BY_NAME, MLFLOW, RAY
from headrace_stack.stack import Stack
from headrace_stack.state import State, live_state

SERVICES = tuple(BY_NAME)
_NOWHERE = "127.0.0.1:9"  # the discard port: nothing listens, and nobody's MLflow is found there
ENVIRONMENT = {
    "HEADRACE_SERVING__ENGINE": "echo",
    "HEADRACE_MLFLOW__URL": f"http://{_NOWHERE}",
    "HEADRACE_RAY__ADDRESS": _NOWHERE,
    "HEADRACE_SETTLE_SECONDS": "0.2",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}


@contextmanager
def fault_stack(home: Path, **environment: str) -> Iterator["FaultStack"]:
    """Run the stack; a part that dies is started again after half a second, however often."""
    home.mkdir(parents=True, exist_ok=True)
    # Its load writes sources beside the stack and publishes their manifests itself.
    roots = {"HEADRACE_SOURCES__ROOTS": json.dumps([str(home.resolve().parent)])}
    wanted = {**ENVIRONMENT, **roots, **environment}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        stack = Stack(home, without=(RAY, MLFLOW), stable_seconds=1.0)
        with stack:
            yield FaultStack(home.resolve())
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class FaultStack:
    """A running stack that may be hurt."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.databases = Databases(
            {name: sqlite_url(home / "services" / name / "service.db") for name in SERVICES}
        )

    @property
    def state(self) -> State:
        """What the supervisor says."""
        state = live_state(self.home)
        if state is None:
            raise RuntimeError(f"the stack's supervisor is gone; see {self.home / 'logs'}")
        return state

    @property
    def bootstrap(self) -> str:
        """Kafka."""
        return self.state.kafka

    @property
    def storage(self) -> Path:
        """The root of the Delta tables."""
        return self.home / "storage"
