"""`headrace models` on the running stack."""

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
    assert story.json("models", "show", story.workload)["versions"][0]["state"] == "production"
    page = story.headrace("models", "show", story.workload, "1")
    assert f"{story.workload}@1" in page
    shown = yaml.safe_load(story.headrace("models", "show", story.workload, "1", "-o", "yaml"))
    assert shown["version"] == "1"


def test_a_wrong_name_is_told_with_the_nearest(story: Any) -> None:
    said = story.headrace("models", "show", "cli-storry", code=2)
    assert "No model is called `cli-storry`. Nearest: `cli-story`" in said
    said = story.headrace("models", "show", story.workload, "17", code=2)
    assert f"headrace models show {story.workload}" in said
