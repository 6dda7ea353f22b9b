"""Dataset versions: identity, digest, difference, and when there is none to make."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headrace_data_quality.core.curation import Curated
from headrace_data_quality.core.rows import DatasetRow
from headrace_data_quality.core.text import prompt_key
from headrace_events.references import TableRef
from headrace_events.workload import Data

Trigger = Literal["records", "drift", "manifest"]
"""What made the curation start: a batch, a drift, or a manifest that batches were waiting for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one curation reads and which version it makes; it does not change once it is made."""

    plan_id: str
    workload: str
    version: int
    previous_version: int
    previous: TableRef | None
    raw: TableRef
    batches: tuple[str, ...]
    sources: tuple[str, ...]
    trigger: Trigger


def digest(*parts: str) -> str:
    """Return a short SHA-256 over `parts`, which are kept apart."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def plan_id(workload: str, version: int, batches: Sequence[str]) -> str:
    """Return the id of the attempt to make `version` from these batches: always the same."""
    return digest("plan", workload, str(version), *batches)


def dataset_digest(rows: Sequence[DatasetRow]) -> str:
    """Return a SHA-256 over what is trained and tested on, whatever the order of the rows."""
    found = hashlib.sha256()
    for line in sorted(f"{r.split}\x1f{r.prompt}\x1f{r.completion}" for r in rows):
        found.update(hashlib.sha256(line.encode()).digest())
    return found.hexdigest()


def obstacle(curated: Curated, policy: Data, previous_version: int) -> str | None:
    """Return why these rows make no version, or None if they do."""
    if not curated.added and previous_version:
        return (
            f"nothing new since version {previous_version}: every new record was dropped "
            f"({_listed(curated.reasons())})"
        )
    rows = len(curated.rows)
    if rows < policy.min_rows:
        return (
            f"{rows} rows are left and spec.data.min_rows asks for {policy.min_rows} "
            f"(dropped: {_listed(curated.reasons())}): land more records or lower it"
        )
    held_out = sum(1 for row in curated.rows if row.split == "holdout")
    if policy.holdout and not held_out:
        return f"none of {rows} rows fell into the holdout: land more records or raise it"
    if held_out == rows:
        return f"all {rows} rows fell into the holdout: land more records or lower it"
    return None


def difference(old: Sequence[DatasetRow], new: Sequence[DatasetRow]) -> dict[str, Any]:
    """Count what a version added, removed and changed against another."""
    before = {prompt_key(row.prompt): row for row in old}
    after = {prompt_key(row.prompt): row for row in new}
    shared = before.keys() & after.keys()
    return {
        "added": len(after.keys() - before.keys()),
        "removed": len(before.keys() - after.keys()),
        "changed_completion": sum(before[k].completion != after[k].completion for k in shared),
        "changed_split": sum(before[k].split != after[k].split for k in shared),
        "unchanged": sum(
            before[k].completion == after[k].completion and before[k].split == after[k].split
            for k in shared
        ),
    }


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
