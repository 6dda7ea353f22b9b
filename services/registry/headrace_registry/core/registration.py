"""The use case: a trained artefact becomes a version."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from headrace_events.references import ArtefactRef
from headrace_events.training import TrainingCompleted
from headrace_models import artefact
from headrace_models.errors import ArtefactError


class ArtefactRefused(Exception):
    """The artefact is not the one that the trainer wrote; nothing is registered."""


@dataclass(frozen=True)
class Candidate:
    """What a version is made from; `key` finds the version again after a kill."""

    name: str
    key: str
    event_id: str
    training: TrainingCompleted

    def tags(self) -> dict[str, str]:
        """Return what the version in MLflow says about itself."""
        training = self.training
        return {
            "headrace.job_id": self.key,
            "headrace.event_id": self.event_id,
            "headrace.base": training.base,
            "headrace.digest": training.artefact.digest,
            "headrace.dataset.uri": training.dataset.table.uri,
            "headrace.dataset.table_version": str(training.dataset.table.version),
            "headrace.dataset.version": str(training.dataset.version),
            "headrace.dataset.digest": training.dataset.digest,
        }


class ModelStore(Protocol):
    """Numbers versions and shows them (MLflow's registry)."""

    async def find_or_create(self, candidate: Candidate) -> str:
        """Return the candidate's version, the same one at every call."""


async def register(candidate: Candidate, store: ModelStore) -> str:
    """Verify the artefact and return its version number; raises ArtefactRefused."""
    await verify(candidate.training.artefact)
    return await store.find_or_create(candidate)


async def verify(reference: ArtefactRef) -> None:
    """Read the artefact and hold it against its digest; raises ArtefactRefused."""
    try:
        await asyncio.to_thread(artefact.fetch, reference.uri, reference.digest)
    except ArtefactError as error:
        raise ArtefactRefused(str(error)) from None
