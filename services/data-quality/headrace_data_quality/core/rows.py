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
    source: str = ""
    file_row: int | None = None
    """Its line in its file, the header of a CSV being line 1; None: it is from no file, or was
    landed by a release that did not say."""


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A row of a dataset version."""

    record_id: str
    prompt: str
    completion: str
    language: str
    split: Split
    origin: Origin = "source"
    source: str = ""
    file_row: int | None = None

    @property
    def trust(self) -> int:
        """How much its completion counts against another for the same prompt."""
        return _TRUST[self.origin]


@dataclass(frozen=True, slots=True)
class Kept:
    """The row that a reject lost against; it may itself have lost against another."""

    record_id: str
    source: str
    file_row: int | None


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that is not in the dataset version, and why."""

    record_id: str
    batch_id: str
    reason: str
    source: str = ""
    file_row: int | None = None
    kept: Kept | None = None
    similarity: float | None = None
    """Of a near duplicate: Jaccard similarity of the prompts' pieces, in [0, 1]."""
