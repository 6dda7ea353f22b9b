"""Rows on their way from raw records to a dataset version."""

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "holdout"]
Origin = Literal["source", "correction", "liked"]

# How much a completion is trusted when one prompt has several: what somebody corrected beats
# what a source says, and that beats an answer of the model that somebody merely liked.
_TRUST: dict[Origin, int] = {"liked": 0, "source": 1, "correction": 2}


@dataclass(frozen=True, slots=True)
class RawRow:
    """A landed record, as ingest wrote it."""

    record_id: str
    batch_id: str
    prompt: str
    completion: str
    origin: Origin = "source"


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A row of a dataset version."""

    record_id: str
    prompt: str
    completion: str
    language: str
    split: Split
    origin: Origin = "source"

    @property
    def trust(self) -> int:
        """How much its completion counts against another for the same prompt."""
        return _TRUST[self.origin]


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that is not in the dataset version, and why."""

    record_id: str
    batch_id: str
    reason: str
