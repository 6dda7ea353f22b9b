"""Makers of versions and events for the registry's tests."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from headrace_events.evaluation import EvaluationCompleted, GateResult
from headrace_events.references import ArtefactRef, DatasetRef, ModelRef, TableRef
from headrace_events.rollout import RolloutFinished
from headrace_events.training import TrainingCompleted
from headrace_events.workload import Gate
from headrace_models import artefact
from headrace_registry.core.versions import Line, State, Version, base_ref

NAME = "docs"
GATES = (Gate(metric="rouge_l", margin=0.0), Gate(metric="perplexity", margin=-0.1))


def dataset(number: int = 1) -> DatasetRef:
    """A dataset version."""
    table = TableRef(uri="file:///data/datasets/docs", version=number - 1)
    return DatasetRef(
        version=number, table=table, digest=f"sha256:d{number}", train_rows=90, holdout_rows=10
    )


def version(number: int, state: State = State.REGISTERED, **changes: object) -> Version:
    """A version with an artefact of its own."""
    reference = ArtefactRef(uri=f"file:///m/{number}", digest=f"sha256:a{number}", size_bytes=9)
    fields = {
        "name": NAME,
        "version": str(number),
        "base": "smol",
        "artefact": reference,
        "dataset": dataset(),
        "state": state,
    }
    return Version(**{**fields, **changes})  # type: ignore[arg-type]


def line(*versions: Version) -> Line:
    """A line of versions."""
    return Line(NAME, versions)


def results(**changes: object) -> tuple[GateResult, ...]:
    """One passed result for each gate; `changes` go into the first."""
    first = {"metric": "rouge_l", "margin": 0.0, "passed": True, "bound": 0.2, "reason": "ok"}
    second = GateResult(metric="perplexity", margin=-0.1, passed=True, bound=0.3, reason="ok")
    return (GateResult.model_validate({**first, **changes}), second)


def evaluated(
    subject: Version, incumbent: ModelRef | None = None, **changes: object
) -> EvaluationCompleted:
    """A passed evaluation of `subject`, against the base unless said otherwise."""
    fields = {
        "evaluation_id": f"e-{subject.version}",
        "model": subject.ref,
        "incumbent": incumbent or base_ref(NAME, "smol"),
        "dataset": subject.dataset,
        "metrics": (),
        "gates": results(),
        "passed": True,
        "seconds": 1.0,
    }
    return EvaluationCompleted.model_validate({**fields, **changes})


def finished(subject: Version, outcome: str = "succeeded", **changes: object) -> RolloutFinished:
    """The end of `subject`'s canary."""
    fields = {
        "rollout_id": "r",
        "candidate": subject.ref,
        "incumbent": base_ref(NAME, "smol"),
        "outcome": outcome,
        "reason": "errors 9 %",
    }
    return RolloutFinished.model_validate({**fields, **changes})


@pytest.fixture
def make() -> SimpleNamespace:
    """The makers, for tests that take them by name."""
    return SimpleNamespace(
        name=NAME,
        gates=GATES,
        dataset=dataset,
        version=version,
        line=line,
        results=results,
        evaluated=evaluated,
        finished=finished,
    )


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., TrainingCompleted]:
    """Return `make(job_id, run_id, root)`: an adapter's folder on disk and its event."""

    def build(job_id: str, run_id: str = "run", root: Path | None = None) -> TrainingCompleted:
        folder = (root or tmp_path / job_id) / "adapter"
        with artefact.writing(folder) as work:
            (work / "adapter_config.json").write_text("{}")
            (work / "adapter_model.safetensors").write_bytes(job_id.encode() * 100)
        reference = ArtefactRef(
            uri=folder.as_uri(),
            digest=artefact.digest(folder),
            size_bytes=artefact.size_bytes(folder),
        )
        return TrainingCompleted(
            job_id=job_id,
            run_id=run_id,
            base="smol",
            dataset=dataset(),
            artefact=reference,
            steps=3,
            planned_steps=3,
            seconds=1.0,
            metrics={"loss": 0.5},
        )

    return build
