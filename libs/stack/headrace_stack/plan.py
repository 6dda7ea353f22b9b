"""What a stack consists of: each part's command, environment, probe and what it waits for."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from headrace_kit.database import sqlite_url
from headrace_stack import mlflow_server, ray_head, services
from headrace_stack.elsewhere import start_of
from headrace_stack.gateway import nginx
from headrace_stack.kafka.config import JAVA_ENVIRONMENT
from headrace_stack.paths import HOME_VARIABLE, cache_folder, stack_id
from headrace_stack.ports import HOST, free_port, free_range
from headrace_stack.processes import child_environment
from headrace_stack.source_roots import roots_file

Probe = Literal["kafka", "http", "file"]


@dataclass(frozen=True)
class Options:
    """What the user chose for a stack."""

    home: Path
    port: int | None = None
    kafka_port: int | None = None
    only: tuple[str, ...] | None = None
    timeout_seconds: float = 300.0
    without: tuple[str, ...] = ()
    stable_seconds: float = 60.0
    """A part that lived this long and dies is started again at once, not after a back-off."""

    def write(self) -> Path:
        """Put the options where the supervisor reads them."""
        path = self.home / "options.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        del content["home"]
        path.write_text(json.dumps(content))
        return path

    @classmethod
    def read(cls, home: Path) -> "Options":
        """The options of the last start."""
        content = json.loads((home / "options.json").read_text())
        only = content.pop("only")
        without = tuple(content.pop("without"))
        return cls(home=home, only=tuple(only) if only else None, without=without, **content)


@dataclass(frozen=True)
class Planned:
    """One part before it runs."""

    name: str
    kind: Literal["engine", "service"]
    url: str
    command: tuple[str, ...]
    """Empty for Kafka, whose command is made when its jars are there."""
    environment: Mapping[str, str]
    probe: Probe
    target: str
    """A URL to ask, or a file that appears, by kind of probe."""
    waits_for: tuple[str, ...] = ()
    remove_first: Path | None = None
    """A sign of readiness of an earlier life."""
    stop_seconds: float = 15.0
    """How long it may take to end by itself."""


@dataclass
class Plan:
    """The parts of one stack and the addresses that tie them together."""

    options: Options
    gateway_port: int
    parts: list[Planned] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        """Where all HTTP APIs are."""
        return f"http://{HOST}:{self.gateway_port}"


def make_plan(options: Options, kafka_bootstrap: str, taken: set[int]) -> Plan:
    """Choose ports and say what to run; nothing is started."""
    engines, chosen = services.choose(options.only, options.without)
    plan = Plan(options, options.port or free_port(taken))
    home, stack = options.home, stack_id(options.home)
    ports = plan.ports
    if services.MLFLOW in engines:
        ports[services.MLFLOW] = free_port(taken)
    if services.RAY in engines:
        ports[services.RAY] = free_range(ray_head.PORTS, taken)
    ports.update({service.name: free_port(taken) for service in chosen})

    shared = _shared_environment(home, kafka_bootstrap, ports)
    if services.MLFLOW in engines:
        plan.parts.append(_mlflow(home, stack, ports[services.MLFLOW]))
    if services.RAY in engines:
        plan.parts.append(_ray(home, stack, ports[services.RAY]))
    if services.KAFKA in engines:
        environment = child_environment(stack, **JAVA_ENVIRONMENT)
        plan.parts.append(
            Planned("kafka", "engine", kafka_bootstrap, (), environment, "kafka", kafka_bootstrap)
        )
    plan.parts.append(_gateway(home, stack, plan.gateway_port, ports))
    plan.parts += [_service(service, home, stack, shared, ports, engines) for service in chosen]
    return plan


def _gateway(home: Path, stack: str, port: int, ports: Mapping[str, int]) -> Planned:
    url = f"http://{HOST}:{port}"
    known = {name: number for name, number in ports.items() if name in services.BY_NAME}
    command = tuple(nginx.prepare(home, nginx.embedded(port, known)))
    return Planned(
        services.GATEWAY,
        "engine",
        url,
        command,
        child_environment(stack),
        "http",
        f"{url}{nginx.HEALTH}",
        stop_seconds=2.0,  # the services have ended: what is still open gets no answer any more
    )


def _mlflow(home: Path, stack: str, port: int) -> Planned:
    url = f"http://{HOST}:{port}"
    environment = child_environment(stack, **mlflow_server.ENVIRONMENT)
    command = tuple(mlflow_server.command(home, port))
    return Planned("mlflow", "engine", url, command, environment, "http", f"{url}/health")


def _ray(home: Path, stack: str, first_port: int) -> Planned:
    ray_head.make_token(home)
    ready = ray_head.temporary_folder(stack) / "ready"
    return Planned(
        "ray",
        "engine",
        f"{HOST}:{first_port}",
        tuple(ray_head.command(stack, first_port)),
        child_environment(stack, **ray_head.environment(home), OMP_NUM_THREADS="1"),
        "file",
        str(ready),
        remove_first=ready,
        stop_seconds=0.0,  # it keeps nothing, and would drain for 30 s
    )


def _shared_environment(home: Path, kafka: str, ports: Mapping[str, int]) -> dict[str, str]:
    """What every service of the stack is told."""
    shared = {
        HOME_VARIABLE: str(home),
        "HEADRACE_CACHE": str(cache_folder()),
        "HEADRACE_HTTP__HOST": HOST,
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_STORAGE__ROOT": str(home / "storage"),
        "HEADRACE_SOURCES__ROOTS": "[]",
        "HEADRACE_SOURCES__ROOTS_FILE": str(roots_file(home)),
        # Eight processes on few cores: two threads each make torch ten times slower than one.
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "POLARS_MAX_THREADS": "2",
        **mlflow_server.ENVIRONMENT,
    }
    if services.MLFLOW in ports:
        mlflow = f"http://{HOST}:{ports[services.MLFLOW]}"
        shared |= {
            "HEADRACE_MLFLOW__URL": mlflow,
            "MLFLOW_TRACKING_URI": mlflow,
            "HEADRACE_TELEMETRY__OTLP_ENDPOINT": mlflow,
            "HEADRACE_TELEMETRY__OTLP_HEADERS": (
                f"x-mlflow-experiment-id={mlflow_server.traces_experiment(home)}"
            ),
            "HEADRACE_MONITOR__MLFLOW_URL": mlflow,
            "HEADRACE_MONITOR__TRACES_URL": traces_url(home, mlflow),
        }
    if services.RAY in ports:
        shared |= ray_head.environment(home)
        shared["HEADRACE_RAY__ADDRESS"] = f"{HOST}:{ports[services.RAY]}"
    if "guardrails" in ports:
        shared["HEADRACE_GUARDRAILS__URL"] = f"http://{HOST}:{ports['guardrails']}"
    health = {
        name: f"http://{HOST}:{port}/readyz"
        for name, port in ports.items()
        if name in services.BY_NAME
    }
    shared["HEADRACE_MONITOR__SERVICES"] = json.dumps(health)
    # The user's own settings win, except for the addresses that only the stack can know.
    return {**shared, **{k: v for k, v in os.environ.items() if k in _USER_MAY_SET}}


_USER_MAY_SET = (
    "HEADRACE_TELEMETRY__OTLP_ENDPOINT",
    "HEADRACE_TELEMETRY__OTLP_HEADERS",
    "HEADRACE_SOURCES__ROOTS",
)


def traces_url(home: Path, mlflow: str) -> str:
    """The page of the trace UI that shows the stack's traces."""
    return f"{mlflow}/#/experiments/{mlflow_server.traces_experiment(home)}/traces"


def _service(
    service: services.Service,
    home: Path,
    stack: str,
    shared: Mapping[str, str],
    ports: Mapping[str, int],
    engines: frozenset[str],
) -> Planned:
    url = f"http://{HOST}:{ports[service.name]}"
    folder = home / "services" / service.name
    own = {
        "HEADRACE_HTTP__PORT": str(ports[service.name]),
        "HEADRACE_DATABASE__URL": sqlite_url(folder / "service.db"),
        "HEADRACE_INSTANCE": f"{service.name}-0",
    }
    start = start_of(service)
    return Planned(
        service.name,
        "service",
        url,
        start.command,
        child_environment(stack, **{**shared, **own, **start.environment}),
        "http",
        f"{url}/readyz",
        waits_for=tuple(engine for engine in service.waits_for if engine in engines),
    )
