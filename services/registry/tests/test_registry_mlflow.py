"""Registration and mirroring on MLflow's own store (SQLite)."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from headrace_events.training import TrainingCompleted
from headrace_registry.adapters.mlflow_registry import MlflowRegistry, VersionView
from headrace_registry.core.registration import ArtefactRefused, Candidate, register

Trained = Callable[..., TrainingCompleted]


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with its schema, made once."""
    from mlflow import MlflowClient

    url = f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"
    MlflowClient(tracking_uri=url, registry_uri=url).search_registered_models()
    return url


@pytest.fixture
def store(mlflow_url: str) -> MlflowRegistry:
    """A client of that store."""
    return MlflowRegistry(mlflow_url)


def run_of(url: str, root: Path) -> tuple[str, Path]:
    """A run, and the folder of its artefacts."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=url, registry_uri=url)
    experiment = client.create_experiment(root.name, artifact_location=root.as_uri())
    run = client.create_run(experiment)
    return run.info.run_id, root / run.info.run_id / "artifacts"


async def test_a_repeat_finds_the_version_of_the_first_call(
    store: MlflowRegistry, mlflow_url: str, trained: Trained, tmp_path: Path
) -> None:
    run_id, root = run_of(mlflow_url, tmp_path / "repeat")
    first = Candidate("repeat", "job-1", "event-1", trained("job-1", run_id, root))
    assert await register(first, store) == "1"
    assert await register(first, MlflowRegistry(mlflow_url)) == "1"
    second = Candidate("repeat", "job-2", "event-2", trained("job-2"))
    assert await register(second, store) == "2"
    assert await register(first, store) == "1"

    from mlflow import MlflowClient

    shown = MlflowClient(mlflow_url, mlflow_url).get_model_version("repeat", "1")
    assert shown.run_id == run_id
    assert shown.source == first.training.artefact.uri
    assert shown.tags["headrace.digest"] == first.training.artefact.digest
    assert shown.tags["headrace.dataset.digest"] == "sha256:d1"
    assert shown.tags["headrace.job_id"] == "job-1"
    assert shown.tags["headrace.event_id"] == "event-1"


async def test_one_flipped_byte_is_refused_and_nothing_is_registered(
    store: MlflowRegistry, mlflow_url: str, trained: Trained, tmp_path: Path
) -> None:
    training = trained("flipped")
    weights = tmp_path / "flipped" / "adapter" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ArtefactRefused, match="digest"):
        await register(Candidate("flipped", "flipped", "event", training), store)

    from mlflow import MlflowClient

    client = MlflowClient(mlflow_url, mlflow_url)
    assert not client.search_registered_models("name = 'flipped'")


async def test_a_missing_artefact_is_refused(store: MlflowRegistry, trained: Trained) -> None:
    training = trained("gone")
    elsewhere = training.artefact.model_copy(update={"uri": "file:///nowhere/adapter"})
    training = training.model_copy(update={"artefact": elsewhere})
    with pytest.raises(ArtefactRefused):
        await register(Candidate("gone", "gone", "event", training), store)


async def test_mirror_sets_moves_and_removes_aliases_tags_and_metrics(
    store: MlflowRegistry, mlflow_url: str, trained: Trained, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    def aliases(client: MlflowClient) -> dict[str, str]:
        found = client.get_registered_model("mirror").aliases
        return {alias: str(version) for alias, version in found.items()}

    client = MlflowClient(mlflow_url, mlflow_url)
    run_id, root = run_of(mlflow_url, tmp_path / "mirror")
    await register(Candidate("mirror", "m-1", "e", trained("m-1", run_id, root)), store)
    await register(Candidate("mirror", "m-2", "e", trained("m-2")), store)
    at = datetime.now(UTC)
    view = VersionView("1", {"headrace.state": "approved"}, run_id, {"evaluation.x": 0.5}, at)
    await store.mirror("mirror", {"canary": "1", "candidate": "2"}, [view])
    await store.mirror("mirror", {"canary": "1", "candidate": "2"}, [view])
    assert aliases(client) == {"canary": "1", "candidate": "2"}
    assert client.get_model_version("mirror", "1").tags["headrace.state"] == "approved"
    assert len(client.get_metric_history(run_id, "evaluation.x")) == 1
    await store.mirror("mirror", {"production": "1", "canary": "2"}, [])
    assert aliases(client) == {"production": "1", "canary": "2"}


async def test_a_change_of_one_version_writes_one_version(
    store: MlflowRegistry,
    mlflow_url: str,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow import MlflowClient

    written: list[str] = []
    set_tag = MlflowClient.set_model_version_tag
    monkeypatch.setattr("headrace_registry.adapters.mlflow_registry._PAGE", 3)

    def counted(self: MlflowClient, name: str, version: str, *tag: str) -> None:
        written.append(version)
        set_tag(self, name, version, *tag)

    monkeypatch.setattr(MlflowClient, "set_model_version_tag", counted)
    run_id, root = run_of(mlflow_url, tmp_path / "long")
    await register(Candidate("long", "l-1", "e", trained("l-1", run_id, root)), store)
    for number in range(2, 9):
        await register(Candidate("long", f"l-{number}", "e", trained(f"l-{number}")), store)
    views = [VersionView(str(n), {"headrace.state": "retired"}) for n in range(1, 9)]
    await store.mirror("long", {}, views)
    assert set(written) == {view.version for view in views}
    written.clear()
    views[0] = replace(views[0], run_id=run_id, metrics={"evaluation.x": 0.5},
                       measured_at=datetime.now(UTC))  # fmt: skip
    views[6] = replace(views[6], tags={"headrace.state": "promoted"})
    await store.mirror("long", {"production": "7"}, views)
    assert set(written) == {"1", "7"}
    written.clear()
    # A process that has just started knows it too; and what was left half done is done again.
    await MlflowRegistry(mlflow_url).mirror("long", {"production": "7"}, views)
    assert written == []
    client = MlflowClient(mlflow_url, mlflow_url)
    assert client.get_model_version("long", "7").tags["headrace.state"] == "promoted"
    assert len(client.get_metric_history(run_id, "evaluation.x")) == 1
    client.delete_model_version_tag("long", "3", "headrace.mirrored")
    await store.mirror("long", {"production": "7"}, views)
    assert set(written) == {"3"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """MLflow's server as the stack runs it."""
    from headrace_stack import mlflow_server
    from headrace_stack.ports import free_port

    port, log = free_port(), tmp_path / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            mlflow_server.command(tmp_path, port),
            env={**os.environ, **mlflow_server.ENVIRONMENT},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 180
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            try:
                with urlopen(f"{url}/health", timeout=5):
                    break
            except (URLError, OSError):
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.integration
async def test_on_the_server_a_source_under_the_runs_artefacts_is_taken_and_found_again(
    server: str, trained: Trained
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(server, server)
    run = client.create_run(client.create_experiment("docs"))
    root = Path(run.info.artifact_uri.removeprefix("file://"))
    store = MlflowRegistry(server)
    candidate = Candidate("docs", "job-1", "event-1", trained("job-1", run.info.run_id, root))
    assert await register(candidate, store) == "1"
    assert await register(candidate, MlflowRegistry(server)) == "1"
    at = datetime.now(UTC)
    view = VersionView(
        "1", {"headrace.state": "promoted"}, run.info.run_id, {"evaluation.x": 0.5}, at
    )
    for _ in range(2):
        await store.mirror("docs", {"production": "1"}, [view])
    shown = client.get_model_version_by_alias("docs", "production")
    assert shown.tags["headrace.state"] == "promoted"
    assert shown.source == candidate.training.artefact.uri
    assert len(client.get_metric_history(run.info.run_id, "evaluation.x")) == 1


_TWO_AT_ONCE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from headrace_registry.adapters.mlflow_registry import MlflowRegistry

def connect(_):
    return MlflowRegistry(sys.argv[1])._client.search_registered_models()

with ThreadPoolExecutor(4) as pool:
    print(list(pool.map(connect, range(4))))
"""


@pytest.mark.integration
def test_jobs_that_start_at_once_do_not_break_mlflows_import(mlflow_url: str) -> None:
    """Its modules import one another in circles: two threads doing so deadlock."""
    found = subprocess.run(
        [sys.executable, "-c", _TWO_AT_ONCE, mlflow_url],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert found.returncode == 0, found.stderr
