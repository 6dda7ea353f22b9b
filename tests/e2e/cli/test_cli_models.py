"""`headrace models` and `headrace rollback` on the running stack."""

import json
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_models_are_listed(story: Any) -> None:
    found = story.json("models", "list")
    (model,) = [one for one in found if one["name"] == story.workload]
    assert model["production"] == "1"
    table = story.headrace("models", "list")
    assert table.splitlines()[0].split()[:2] == ["NAME", "PRODUCTION"]
    assert story.workload in story.headrace("models", "list", "-o", "name").splitlines()


def test_a_model_and_its_version_are_shown(story: Any) -> None:
    assert story.json("models", "show", story.workload)["versions"][0]["state"] == "promoted"
    page = story.headrace("models", "show", story.workload, "1")
    assert f"{story.workload}@1" in page
    for part in ("exact_match", "rouge_l", "sources:", "steps in", "rank 16", "model.promoted"):
        assert part in page
    shown = yaml.safe_load(story.headrace("models", "show", story.workload, "1", "-o", "yaml"))
    assert shown["version"] == "1"


def test_a_wrong_name_is_told_with_the_nearest(story: Any) -> None:
    said = story.headrace("models", "show", "cli-storry", code=2)
    assert "No model is called `cli-storry`. Nearest: `cli-story`" in said
    said = story.headrace("models", "show", story.workload, "17", code=2)
    assert f"headrace models show {story.workload}" in said


def told(story: Any, kind: str) -> list[dict[str, Any]]:
    """The payloads of a workload's events of one type, the oldest first."""
    lines = story.headrace(
        "events", "tail", "--from-beginning", "--no-follow", "--json", "--data",
        "--workload", story.workload, "--type", kind,
    )  # fmt: skip
    return [json.loads(line)["data"] for line in lines.splitlines()]


def test_two_versions_are_shown_side_by_side(story: Any) -> None:
    found = story.json("models", "diff", story.workload, "base", "1")
    scores = {score["metric"]: score for score in found["scores"]}
    assert set(scores) == {"exact_match", "rouge_l"}
    assert all(score["paired"] and score["rows"] for score in scores.values())
    page = story.headrace("models", "diff", story.workload, "base", "1")
    assert "on the same rows" in page
    assert "learning_rate" in page


def test_what_is_in_production_is_not_retired(story: Any) -> None:
    said = story.headrace("models", "retire", story.workload, "1", "--reason", "x", code=2)
    assert "version 1 is in production" in said
    assert told(story, "retirement.requested.v1") == []


def test_roll_back_to_the_base_and_promote_again(story: Any) -> None:
    name = story.workload
    said = story.headrace("rollback", name, "--to", "base", "--reason", "e2e complaints", "--wait")
    assert f"{name}: 1 -> base in production" in said
    assert "Serving answers with base." in said
    shown = story.json("models", "show", name, "1")
    assert (shown["state"], shown["reason"]) == ("rolled_back", "e2e complaints")
    refused = story.headrace("rollback", name, "--reason", "again", code=2)
    assert "the base is in production" in refused

    again = story.json("models", "promote", name, "1", "--reason", "e2e disk", "--wait")
    assert (again["before"], again["production"]) == ("base", "1")
    assert not story.json("models", "promote", name, "1", "--reason", "twice")["changed"]
    assert story.json("models", "show", name)["production"] == "1"

    for kind, reason in (
        ("rollback.requested.v1", "e2e complaints"),
        ("model.rolled_back.v1", "e2e complaints"),
        ("promotion.requested.v1", "e2e disk"),
        ("model.promoted.v1", "e2e disk"),
    ):
        assert [event["reason"] for event in told(story, kind)][-1] == reason, kind
    assert "e2e disk" in story.headrace("models", "show", name, "1")
