"""How a manifest differs from the one that holds, as a unified diff of YAML."""

import difflib
from typing import Any

import yaml

from headrace_events.workload import Manifest
from headrace_stack.commands.api import Api, Refused

_NOT_FOUND = 404


def call(api: Api, name: str) -> dict[str, Any]:
    """GET /workloads/{name}/manifest: name, revision, manifest."""
    found: dict[str, Any] = api.get("workloads", name, "manifest")
    return found


def of(api: Api, manifest: Manifest) -> str:
    """Return the difference, every default written out; empty where there is none."""
    name = manifest.metadata.name
    try:
        held = call(api, name)
    except Refused as error:
        if error.status != _NOT_FOUND:
            raise
        held = {"revision": "none was applied yet", "manifest": None}
    before = as_yaml(held["manifest"]) if held["manifest"] else ""
    after = as_yaml(manifest.model_dump(mode="json"))
    return "\n".join(
        difflib.unified_diff(
            before.splitlines(),
            after.splitlines(),
            f"{name} (revision {held['revision']})",
            f"{name} (revision {manifest.revision()})",
            lineterm="",
        )
    )


def as_yaml(manifest: dict[str, Any]) -> str:
    """Return a manifest as YAML, in the order of its fields."""
    return str(yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=100))
