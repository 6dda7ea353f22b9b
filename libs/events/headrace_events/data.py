"""Events of ingest and data-quality."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from headrace_events import topics
from headrace_events.envelope import EventData
from headrace_events.references import DatasetRef, TableRef


class RecordsLanded(EventData):
    """A batch of raw records was committed to the workload's raw table."""

    TYPE: ClassVar[str] = "records.landed.v1"
    TOPIC: ClassVar[str] = topics.RECORDS

    batch_id: str
    table: TableRef
    rows: int
    source: str
    """`file:<name>`, `python_docs`, or `traffic`."""


class RecordsRejected(EventData):
    """A source could not be read; nothing of it was landed."""

    TYPE: ClassVar[str] = "records.rejected.v1"
    TOPIC: ClassVar[str] = topics.RECORDS

    source: str
    reason: str


class DatasetCurated(EventData):
    """A dataset version was written."""

    TYPE: ClassVar[str] = "dataset.curated.v1"
    TOPIC: ClassVar[str] = topics.DATASETS

    dataset: DatasetRef
    batches: tuple[str, ...]
    """What is new in it."""
    sources: tuple[str, ...]
    """All that the version was made of, those of the versions before it too."""
    rejects: dict[str, int]
    """Rows dropped, by reason."""
    rejects_id: str | None = None
    """Which rows of data-quality's table rejects/<workload> these are."""
    redactions: dict[str, int] = Field(default_factory=dict)
    """Pieces of text replaced, by kind."""
    trigger: Literal["records", "drift"] = "records"
    profile: dict[str, Any] = Field(default_factory=dict)
    """Figures about the rows, none of their text."""


class DatasetRejected(EventData):
    """The records do not make a dataset version; the reason says what is missing."""

    TYPE: ClassVar[str] = "dataset.rejected.v1"
    TOPIC: ClassVar[str] = topics.DATASETS

    batches: tuple[str, ...]
    reason: str
    rejects: dict[str, int] = Field(default_factory=dict)
    rejects_id: str | None = None
    """Which rows of data-quality's tables of rejects these are."""
    used_up: bool = False
    """Whether nothing in the batches was new; otherwise they wait for more to land."""


class FileUploaded(EventData):
    """Somebody uploaded a file; its bytes are in ingest's storage, not here."""

    TYPE: ClassVar[str] = "file.uploaded.v1"
    TOPIC: ClassVar[str] = topics.RECORDS

    file_id: str
    filename: str
    purpose: str
    size: int
    prompt: str
    """Name of the column."""
    completion: str
    workload: str | None = None
    """For which its rows are landed; None: for none."""


class FileDeleted(EventData):
    """An uploaded file was deleted; the rows landed from it stay."""

    TYPE: ClassVar[str] = "file.deleted.v1"
    TOPIC: ClassVar[str] = topics.RECORDS

    file_id: str
