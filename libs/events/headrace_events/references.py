"""Claim checks: what an event carries instead of the thing itself."""

from pydantic import BaseModel, ConfigDict


class Reference(BaseModel):
    """Base of the references; a consumer ignores what a newer producer added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class TableRef(Reference):
    """One commit of a Delta table: immutable by its version."""

    uri: str
    version: int


class DatasetRef(Reference):
    """One immutable dataset version: number, Delta commit, and a digest of its rows."""

    version: int
    table: TableRef
    digest: str
    train_rows: int
    holdout_rows: int


class ArtefactRef(Reference):
    """A folder of files and the SHA-256 over its sorted names and contents."""

    uri: str
    digest: str
    size_bytes: int


class ModelRef(Reference):
    """A version of a workload's model; version `base` has no artefact: it is the base itself."""

    name: str
    version: str
    base: str
    artefact: ArtefactRef | None = None
