"""The words of a workload's state: stages, what comes next, and what is shown beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

Stage = Literal[
    "landing",
    "curating",
    "training",
    "evaluating",
    "canary",
    "serving",
    "waiting",
    "refused",
    "failed",
]
Reached = Literal["landed", "curated", "trained", "evaluated", "approved", "canary", "promoted"]

BASE = "base"
NEXT: Final[Mapping[Stage, str]] = {
    "landing": "the rows are curated into a dataset version",
    "curating": "the dataset version is trained on",
    "training": "the new version is evaluated against the one in production",
    "evaluating": "the gate opens to the canary, or keeps the version out",
    "canary": "the step is judged: the next weight, production, or the way back",
    "serving": "new rows, feedback or drift begin the next turn",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The running canary's step as its judge sees it."""

    requests: int
    needed: int
    waits: bool
    reason: str
    """The judge's words: figures of both arms."""
    last_request: datetime | None = None
    """Of the candidate in this step."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not well beside what the workload does, and what can be done."""

    at: datetime
    text: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What a workload does now. `sentence` is for people; `stage` is for programs."""

    stage: Stage
    title: str
    detail: str
    since: datetime | None
    next: str
    """What comes next by itself."""
    step: str = ""
    """What a person can do where it is stuck; empty where nothing needs to be done."""
    progress: float | None = None

    @property
    def sentence(self) -> str:
        """Title and detail as one line."""
        return f"{self.title}: {self.detail}" if self.detail else self.title


def version(name: str) -> str:
    """Return a version as people say it: `v2`, or `base`."""
    return name if name == BASE else f"v{name}"
