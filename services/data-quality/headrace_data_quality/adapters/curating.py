"""One plan carried out against the tables; what an earlier attempt committed is found again."""

import threading
from dataclasses import dataclass
from typing import Any

from headrace_data_quality.adapters import dataset_table, reject_table
from headrace_data_quality.adapters.dataset_table import Written
from headrace_data_quality.adapters.detector import load_detector
from headrace_data_quality.adapters.raw_reader import read_batches
from headrace_data_quality.core.curation import curate
from headrace_data_quality.core.language import Detect
from headrace_data_quality.core.profile import profile
from headrace_data_quality.core.rows import DatasetRow
from headrace_data_quality.core.versions import Plan, dataset_digest, obstacle
from headrace_events.references import DatasetRef
from headrace_events.workload import Data


@dataclass(frozen=True, slots=True)
class Made:
    """A dataset version was written."""

    dataset: DatasetRef
    profile: dict[str, Any]
    rejects: dict[str, int]
    redactions: dict[str, int]
    rejects_id: str | None


@dataclass(frozen=True, slots=True)
class NotMade:
    """The records make no version."""

    reason: str
    rejects: dict[str, int]
    rejects_id: str | None
    nothing_new: bool
    """Whether the batches are used up; otherwise they wait for more to land."""


class Curator:
    """Carries out plans; blocking, so call it in a thread."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._detect: Detect | None = None
        self._loading = threading.Lock()

    def carry_out(self, plan: Plan, policy: Data) -> Made | NotMade:
        """Read, curate and commit, once for a plan however often it is carried out."""
        written = dataset_table.find_version(self._root, plan.workload, plan.plan_id)
        if written is not None:
            return _made(written, dataset_table.read_version(written.table))
        previous = dataset_table.read_version(plan.previous) if plan.previous else []
        new = read_batches(plan.raw, plan.batches)
        curated = curate(previous, new, policy, self._detector())
        reasons = curated.reasons()
        names = (plan.workload, plan.plan_id)
        reason = obstacle(curated, policy, plan.previous_version)
        if reason:
            nothing_new = bool(plan.previous_version) and not curated.added
            if nothing_new:
                rejects_id = reject_table.append(self._root, *names, None, curated.rejects)
            else:
                rejects_id = reject_table.replace_refused(self._root, *names, curated.rejects)
            return NotMade(reason, reasons, rejects_id, nothing_new)
        # Rejects first: when the version is there, so are they.
        rejects_id = reject_table.append(self._root, *names, plan.version, curated.rejects)
        written = dataset_table.write_version(
            self._root,
            plan.workload,
            plan.plan_id,
            plan.version,
            curated.rows,
            reasons,
            curated.redactions,
            rejects_id,
        )
        return _made(written, curated.rows)

    def _detector(self) -> Detect:
        with self._loading:
            if self._detect is None:
                self._detect = load_detector()
            return self._detect


def _made(written: Written, rows: list[DatasetRow]) -> Made:
    held_out = sum(1 for row in rows if row.split == "holdout")
    return Made(
        dataset=DatasetRef(
            version=written.version,
            table=written.table,
            digest=dataset_digest(rows),
            train_rows=len(rows) - held_out,
            holdout_rows=held_out,
        ),
        profile=profile(rows),
        rejects=written.rejects,
        redactions=written.redactions,
        rejects_id=written.rejects_id,
    )
