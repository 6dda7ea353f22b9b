"""The workload manifest: defaults, every refusal with its path, and a stable revision."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from headrace_events.workload import Manifest, Spec


def _document(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "headrace/v1",
        "kind": "Workload",
        "metadata": {"name": "support-intents", "owner": "team-cards"},
        "spec": spec,
    }


def _refused(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate(document)
    return [".".join(str(part) for part in error["loc"]) for error in caught.value.errors()]


def test_name_alone_is_a_whole_manifest() -> None:
    document = {
        "apiVersion": "headrace/v1",
        "kind": "Workload",
        "metadata": {"name": "python-docs"},
    }
    manifest = Manifest.model_validate(document)
    assert manifest.spec == Spec()
    assert manifest.spec.evaluate.gates, "without a gate nothing could be approved"
    assert manifest.spec.train.seed == 7


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"data": {"holdout": 1.5}}, "spec.data.holdout"),
        ({"data": {"min_rows": 0}}, "spec.data.min_rows"),
        ({"data": {"max_chars": 0}}, "spec.data.max_chars"),
        ({"data": {"language": ["xx"]}}, "spec.data.language.0"),
        ({"data": {"pii": "ignore"}}, "spec.data.pii"),
        ({"data": {"dedup": {"near": -0.1}}}, "spec.data.dedup.near"),
        ({"data": {"feedback_batch": 0}}, "spec.data.feedback_batch"),
        ({"data": {"sources": [{"type": "ftp"}]}}, "spec.data.sources.0.type"),
        ({"data": {"sources": [{"type": "file"}]}}, "spec.data.sources.0"),
        ({"data": {"sources": [{"type": "python_docs", "limit": 0}]}}, "spec.data.sources.0.limit"),
        (
            {"data": {"sources": [{"type": "python_docs", "part": [0.5, 0.5]}]}},
            "spec.data.sources.0",
        ),
        ({"train": {"method": "full"}}, "spec.train.method"),
        ({"train": {"rank": 0}}, "spec.train.rank"),
        ({"train": {"learning_rate": 0}}, "spec.train.learning_rate"),
        ({"train": {"batch_size": 0}}, "spec.train.batch_size"),
        ({"train": {"epochs": 0}}, "spec.train.epochs"),
        ({"train": {"max_steps": 0}}, "spec.train.max_steps"),
        ({"train": {"max_tokens": 1}}, "spec.train.max_tokens"),
        ({"train": {"max_minutes": 0}}, "spec.train.max_minutes"),
        ({"train": {"checkpoint_every": 0}}, "spec.train.checkpoint_every"),
        ({"train": {"seed": -1}}, "spec.train.seed"),
        ({"train": {"workers": 0}}, "spec.train.workers"),
        ({"train": {"gpus_per_worker": -1}}, "spec.train.gpus_per_worker"),
        ({"evaluate": {"metrics": ["bleu"]}}, "spec.evaluate.metrics.0"),
        ({"evaluate": {"gates": []}}, "spec.evaluate"),
        ({"evaluate": {"metrics": ["exact_match"]}}, "spec.evaluate"),
        ({"evaluate": {"gates": [{"metric": "bleu"}]}}, "spec.evaluate.gates.0.metric"),
        (
            {"evaluate": {"gates": [{"metric": "rouge_l", "against": "best"}]}},
            "spec.evaluate.gates.0.against",
        ),
        (
            {"evaluate": {"gates": [{"metric": "rouge_l", "confidence": 1.0}]}},
            "spec.evaluate.gates.0.confidence",
        ),
        ({"evaluate": {"max_rows": 1}}, "spec.evaluate.max_rows"),
        ({"evaluate": {"max_tokens": 0}}, "spec.evaluate.max_tokens"),
        ({"serve": {"engine": "magic"}}, "spec.serve.engine"),
        ({"serve": {"max_tokens": 0}}, "spec.serve.max_tokens"),
        ({"serve": {"canary": {"steps": []}}}, "spec.serve.canary"),
        ({"serve": {"canary": {"steps": [50, 20]}}}, "spec.serve.canary"),
        ({"serve": {"canary": {"steps": [0]}}}, "spec.serve.canary.steps.0"),
        ({"serve": {"canary": {"min_requests": 0}}}, "spec.serve.canary.min_requests"),
        ({"serve": {"canary": {"max_latency_ratio": 1.0}}}, "spec.serve.canary.max_latency_ratio"),
        (
            {"serve": {"canary": {"max_error_rate_increase": 2}}},
            "spec.serve.canary.max_error_rate_increase",
        ),
        ({"guard": {"input": ["vibes"]}}, "spec.guard.input.0"),
        ({"guard": {"output": ["injection"]}}, "spec.guard.output.0"),
        ({"guard": {"max_chars": 0}}, "spec.guard.max_chars"),
        ({"guard": {"pii": "keep"}}, "spec.guard.pii"),
        ({"monitor": {"slo": {"p95_ms": 0}}}, "spec.monitor.slo.p95_ms"),
        ({"monitor": {"slo": {"error_rate": 2}}}, "spec.monitor.slo.error_rate"),
        ({"monitor": {"drift": {"window": 1}}}, "spec.monitor.drift.window"),
        ({"monitor": {"drift": {"threshold": 0}}}, "spec.monitor.drift.threshold"),
        ({"monitor": {"retrain_on": ["mood"]}}, "spec.monitor.retrain_on.0"),
    ],
)
def test_each_refused_field_is_named_by_its_path(spec: dict[str, Any], path: str) -> None:
    assert _refused(_document(**spec)) == [path]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"apiVersion": "headrace/v2"}, "apiVersion"),
        ({"kind": "Deployment"}, "kind"),
        ({"metadata": {"name": "Upper Case"}}, "metadata.name"),
        ({"metadata": {"name": "a" * 64}}, "metadata.name"),
        ({"metadata": {"owner": "x"}}, "metadata.name"),
    ],
)
def test_a_wrong_head_is_refused(change: dict[str, Any], path: str) -> None:
    assert _refused(_document() | change) == [path]


def test_several_wrong_fields_are_all_named() -> None:
    document = _document(train={"rank": 0}, data={"holdout": 7}, typo=1)
    assert sorted(_refused(document)) == ["spec.data.holdout", "spec.train.rank", "spec.typo"]


def _models(model: type[BaseModel], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of every section of the manifest that is a single model."""
    found = [path]
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += _models(inner, (*path, name))
    return found


@pytest.mark.parametrize("path", _models(Manifest), ids=".".join)
def test_an_unknown_field_is_refused_everywhere(path: tuple[str, ...]) -> None:
    document = _document()
    section = document
    for name in path:
        section = section.setdefault(name, {})
    section["tpyo"] = 1
    assert _refused(document) == [".".join((*path, "tpyo"))]


def test_the_revision_depends_on_content_alone() -> None:
    first = Manifest.model_validate(_document(train={"rank": 8, "epochs": 2}))
    again = Manifest.model_validate(_document(train={"epochs": 2, "rank": 8}))
    other = Manifest.model_validate(_document(train={"rank": 9}))
    assert first.revision() == again.revision() != other.revision()
    # A trip through Kafka and the service's database changes nothing.
    copied = Manifest.model_validate_json(first.model_dump_json())
    assert copied.revision() == first.revision()


def test_a_fail_mode_is_written_only_where_it_is_declared() -> None:
    """Services of the release before refuse a manifest with a field that they do not know."""
    default = Manifest.model_validate(_document(guard={"fail": "closed"}))
    opened = Manifest.model_validate(_document(guard={"fail": "open"}))
    assert "fail" not in default.model_dump_json()
    assert Manifest.model_validate_json(opened.model_dump_json()) == opened
    assert default.revision() == Manifest.model_validate(_document()).revision()
    assert opened.revision() != default.revision()
