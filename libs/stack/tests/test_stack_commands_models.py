"""`headrace models` and `headrace rollback`: what they send, and how they show the answer."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from headrace_stack.cli import app
from headrace_stack.commands import rollback
from headrace_stack.commands.api import Api
from headrace_stack.commands.models import diff, promote, retire, show, versions

MODULES = (diff, promote, retire, rollback, show, versions)
METRIC = {
    "metric": "rouge_l", "candidate": 0.75, "incumbent": 0.5, "difference": 0.25, "low": 0.1,
    "high": 0.4, "confidence": 0.95, "rows": 100,
}  # fmt: skip
GATE = {"metric": "rouge_l", "margin": -0.01, "passed": True, "bound": 0.12, "reason": "it holds"}
ONE = {
    "name": "docs", "version": "2", "state": "rolled_back", "aliases": [], "base": "smol",
    "artefact": {"uri": "file:///m/2", "digest": "d", "size_bytes": 9},
    "dataset": {"version": 4, "train_rows": 90, "holdout_rows": 10},
    "run_id": "r", "job_id": "ftjob-1", "replaced": "1", "reason": "complaints",
    "training": {
        "steps": 102, "seconds": 61.4, "metrics": {"loss": 0.31, "tokens_per_second": 1234.5},
        "settings": {"rank": 16, "max_steps": None},
    },
    "evaluation": {
        "incumbent": {"version": "1"}, "metrics": [METRIC], "gates": [GATE], "passed": True,
    },
    "created_at": "2026-11-26T09:00:00Z", "updated_at": "2026-11-26T09:30:00Z",
    "sources": ["file:a.csv", "file:b.csv"], "batches": [], "rejects": {"empty_prompt": 3},
    "redactions": {},
    "events": [
        {"id": "e", "type": "rollback.requested.v1", "at": "2026-11-26T09:30:00Z",
         "refused": False, "note": "anna: complaints\x1b[31m"},
        {"id": "f", "type": "rollout.finished.v1", "at": "2026-11-26T09:31:00Z",
         "refused": True, "note": "version 2 is rolled_back, not approved"},
    ],
}  # fmt: skip
MODEL = {
    "name": "docs", "base": "smol", "production": "1", "aliases": {}, "versions": [ONE],
}  # fmt: skip
DONE = {
    "name": "docs", "changed": True, "before": "2", "production": "1",
    "states": {"2": "rolled_back", "1": "promoted"}, "event_id": "e",
}  # fmt: skip


class Registry:
    """Answers as registry and serving do, and keeps what it was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {
            "/models": {"data": [MODEL], "next": None},
            "/models/docs": MODEL,
            "/models/docs/versions/2": ONE,
            "/models/docs/rollback": DONE,
            "/models/docs/versions/1/promote": DONE,
            "/models/docs/versions/1/retire": DONE | {"changed": False},
        }
        self.serving = ["2", "2", "1"]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if request.method == "POST":
            self.sent.append((path, json.loads(request.content)))
        if path == "/v1/models/docs":
            version = self.serving.pop(0) if len(self.serving) > 1 else self.serving[0]
            return httpx2.Response(200, json={"id": "docs", "version": version})
        found = self.answers.get(path)
        if found is None:
            message = "no such version: GET /models/docs lists them"
            return httpx2.Response(404, json={"error": {"message": message}})
        if isinstance(found, httpx2.Response):
            return found
        return httpx2.Response(200, json=found)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    answers = Registry()
    for module in MODULES:
        monkeypatch.setattr(
            module,
            "connect",
            lambda **_: Api("http://stack", transport=httpx2.MockTransport(answers)),
        )
    monkeypatch.setattr(versions, "_LOOK_SECONDS", 0.01)
    return answers


Run = Callable[..., str]


@pytest.fixture
def run(registry: Registry) -> Run:
    def headrace(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(arguments))
        error = done.exception
        found = getattr(error, "exit_code", done.exit_code) if error else done.exit_code
        assert found == code, (done.output, error)
        return done.output if code == 0 else f"{done.output}{error}"

    return headrace


def test_a_version_is_shown_with_scores_gates_data_and_history(run: Run) -> None:
    page = run("models", "show", "docs", "2")
    assert "reason:    complaints" in page
    assert "0.750    0.500      +0.250  +0.100 .. +0.400    95%   100" in page
    assert "rouge_l  passed    +0.120  -0.010  it holds" in page
    assert "ftjob-1: 102 steps in 61 s, loss 0.310, 1,234 tokens/s" in page
    assert "settings:  rank 16\n" in page
    assert "sources:   file:a.csv, file:b.csv" in page
    assert "rejected:  3 empty_prompt" in page
    assert "anna: complaints" in page and "\x1b" not in page
    assert "refused: version 2 is rolled_back" in page
    table = run("models", "show", "docs")
    assert "rouge_l 0.750 (+0.250)" in table
    assert json.loads(run("models", "show", "docs", "2", "-o", "json")) == ONE


def test_a_rollback_sends_who_and_why_and_waits_for_serving(run: Run, registry: Registry) -> None:
    page = run("rollback", "docs", "--reason", "complaints", "--wait")
    ((path, body),) = registry.sent
    assert path == "/models/docs/rollback"
    assert (body["reason"], body["to"]) == ("complaints", None)
    assert "@" in body["operator"]
    assert page.splitlines() == [
        "docs: 2 -> 1 in production",
        "  version 2: rolled_back",
        "  version 1: promoted",
        "Serving answers with 1.",
    ]
    assert registry.serving == ["1"]
    assert run("rollback", "docs", "--reason", "x", "-o", "name").strip() == "1"


def test_what_serving_does_not_follow_is_said_with_exit_code_6(
    run: Run, registry: Registry
) -> None:
    registry.serving = ["2"]
    said = run("rollback", "docs", "--reason", "x", "--wait", "--timeout", "1", code=6)
    assert "serving still answers with 2 after 1 s" in said


def test_promotion_and_retirement(run: Run, registry: Registry) -> None:
    assert "Serving follows within seconds." in run(
        "models", "promote", "docs", "1", "--reason", "it was the disk"
    )
    assert "it was so already; 1 is in production" in run(
        "models", "retire", "docs", "1", "--reason", "bad rows"
    )
    assert [(path, body["reason"]) for path, body in registry.sent] == [
        ("/models/docs/versions/1/promote", "it was the disk"),
        ("/models/docs/versions/1/retire", "bad rows"),
    ]


def test_refusals_are_the_registrys_sentence_or_the_nearest_names(
    run: Run, registry: Registry
) -> None:
    message = "version 1 is in production: roll back, or promote another version"
    registry.answers["/models/docs/versions/1/retire"] = httpx2.Response(
        409, json={"error": {"message": message}}
    )
    assert message in run("models", "retire", "docs", "1", "--reason", "x", code=2)
    said = run("rollback", "dosc", "--reason", "x", code=2)
    assert "No model is called `dosc`. Nearest: `docs`" in said
    said = run("models", "promote", "docs", "7", "--reason", "x", code=2)
    assert "No version of docs is called `7`" in said
    said = run("models", "diff", "docs", "base", "7", code=2)
    assert "No version of docs is called `7`" in said
    run("rollback", "docs", code=2)  # no reason
    assert [path for path, _ in registry.sent] == [
        "/models/docs/versions/1/retire", "/models/dosc/rollback",
        "/models/docs/versions/7/promote",
    ]  # fmt: skip


def test_two_versions_side_by_side(run: Run, registry: Registry) -> None:
    registry.answers["/models/docs/diff"] = {
        "name": "docs", "old": "1", "new": "2", "note": "on the same rows",
        "facts": [{"name": "dataset", "old": 3, "new": 4, "same": False},
                  {"name": "sources", "old": ["a"], "new": ["a", "b"], "same": False}],
        "settings": [{"name": "rank", "old": 16, "new": 16, "same": True}],
        "scores": [{"metric": "rouge_l", "old": 0.5, "new": 0.75, "paired": True,
                    "difference": 0.25, "low": 0.1, "high": 0.4, "confidence": 0.95, "rows": 100}],
    }  # fmt: skip
    page = run("models", "diff", "docs", "1", "2")
    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert "rouge_l 0.500 0.750 +0.250 +0.100 .. +0.400 (95%) 100" in lines
    assert "* dataset 3 4" in lines
    assert "* sources a a, b" in lines
    assert "rank 16 16" in lines
    assert run("models", "diff", "docs", "1", "2", "-o", "yaml").startswith("name: docs")


def test_versions_are_completed_and_a_dead_stack_completes_nothing(
    registry: Registry,
) -> None:
    context: Any = SimpleNamespace(params={"name": "docs"})
    assert versions.completed(context, "") == ["base", "2"]
    assert versions.completed(context, "b") == ["base"]
    context.params = {}
    assert versions.completed(context, "") == []
