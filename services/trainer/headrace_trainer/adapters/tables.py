"""The trainer's own tables: the newest dataset of each workload, and what trainings left."""

from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The trainer's tables."""


class DatasetRow(Base):
    """The newest dataset version of a workload, for trainings that name none."""

    __tablename__ = "trainer_datasets"

    workload: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    dataset: Mapped[dict[str, Any]] = mapped_column(JSON)


class ResultRow(Base):
    """What a finished training left."""

    __tablename__ = "trainer_results"

    job_id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str]
    artefact: Mapped[dict[str, Any]] = mapped_column(JSON)
    steps: Mapped[int]
    planned_steps: Mapped[int]
    tokens: Mapped[int]
    seconds: Mapped[float]
    loss: Mapped[float]
