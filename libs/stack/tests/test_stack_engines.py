"""MLflow and Ray as the stack starts them: traces are taken, tasks run, only the loopback hears."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headrace_stack import ray_head
from headrace_stack.paths import stack_id
from headrace_stack.processes import marked_processes
from headrace_stack.stack import Stack
from headrace_stack.state import State

pytestmark = pytest.mark.integration
TASK = """\
import ray
ray.init(address="{address}", log_to_driver=False)
print(ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    home = tmp_path_factory.mktemp("engines")
    with Stack(home, only=("mlflow", "ray")) as stack:
        state = stack.state()
        assert state is not None
        yield state
    assert not marked_processes(stack_id(home))
    assert not ray_head.temporary_folder(stack_id(home)).exists()


def test_ray_runs_a_task_for_who_has_the_token(engines: State) -> None:
    done = _run_task(engines, ray_head.environment(Path(engines.home)))
    assert done.stdout.strip().endswith("42"), done.stderr[-2000:]


def test_ray_keeps_its_token_out_of_the_user_home(engines: State) -> None:
    token = Path(engines.home) / "ray" / "token"
    assert token.stat().st_mode & 0o077 == 0


def test_engines_listen_on_the_loopback_only(engines: State) -> None:
    for name in ("mlflow", "ray"):
        pid = engines.part(name).pid
        assert pid is not None
        heard = [
            address
            for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            for address in _listened(process)
        ]
        assert heard, f"{name} listens nowhere"
        assert set(heard) <= {"127.0.0.1", "::1"}, (name, heard)


def _listened(process: psutil.Process) -> list[str]:
    """The addresses that a process listens on; none when it has ended since it was listed."""
    try:
        # Ray's workers open one more port each, guarded by the token.
        if process.name().startswith("ray::"):
            return []
        connections = process.net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return []  # Ray starts helpers that live for a moment
    return [
        connection.laddr.ip.removeprefix("::ffff:")
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    ]


def test_mlflow_takes_otlp_traces_into_the_experiment(engines: State) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    experiment = engines.traces.split("/experiments/")[1].split("/")[0]
    exporter = OTLPSpanExporter(
        endpoint=f"{engines.mlflow}/v1/traces", headers={"x-mlflow-experiment-id": experiment}
    )
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("a span of the stack's test"):
        pass
    provider.shutdown()
    body = {"locations": [_location(experiment)], "max_results": 10}
    deadline = time.monotonic() + 30
    while not (found := _post(f"{engines.mlflow}/api/3.0/mlflow/traces/search", body)["traces"]):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert len(found) == 1


def test_artefacts_lie_in_the_home(engines: State) -> None:
    answer = _post(f"{engines.mlflow}/api/2.0/mlflow/experiments/create", {"name": "x"})
    url = f"{engines.mlflow}/api/2.0/mlflow/experiments/get?experiment_id={answer['experiment_id']}"
    with urllib.request.urlopen(url) as response:
        location = json.load(response)["experiment"]["artifact_location"]
    assert location.startswith(Path(engines.home).as_uri())


def _location(experiment: str) -> dict[str, object]:
    place = {"experiment_id": experiment}
    return {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": place}


def _post(url: str, body: object) -> dict[str, list[object]]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        answer: dict[str, list[object]] = json.load(response)
    return answer


def _run_task(engines: State, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", TASK.format(address=engines.ray)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
