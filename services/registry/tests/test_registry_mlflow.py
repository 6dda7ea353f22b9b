"""Registration and mirroring on MLflow's own store (SQLite)."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

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
