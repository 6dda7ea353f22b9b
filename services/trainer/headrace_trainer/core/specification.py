"""What one training is: all of it comes from the manifest and the dataset version."""

from pydantic import BaseModel, ConfigDict

from headrace_events.references import DatasetRef
from headrace_events.workload import Manifest, Train


class Specification(BaseModel):
    """Base, data and recipe of a training."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    workload: str
    base: str
    system: str | None = None
    dataset: DatasetRef
    train: Train


class Order(BaseModel):
    """What a job is asked to train; the recipe is fixed as soon as the manifest is known.

    Topics have no order among themselves: a dataset can be heard of before its manifest.
    """

    model_config = ConfigDict(frozen=True)

    job_id: str
    workload: str
    dataset: DatasetRef
    specification: Specification | None = None

    def settled(self, manifest: Manifest) -> "Order":
        """Take over the recipe; a later manifest changes nothing in a job that has one."""
        if self.specification is not None:
            return self
        specification = Specification(
            job_id=self.job_id,
            workload=self.workload,
            base=manifest.spec.base,
            system=manifest.spec.system,
            dataset=self.dataset,
            train=manifest.spec.train,
        )
        return self.model_copy(update={"specification": specification})


class Progress(BaseModel):
    """Where a training stands; the loss is the mean since the last report."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens: int
    """Real tokens (no padding) since the training's first step."""
    tokens_per_second: float
    resumed_at_step: int = 0


class Outcome(BaseModel):
    """What a training left: a folder with the adapter, and its figures."""

    adapter: str
    steps: int
    planned_steps: int
    seconds: float
    tokens: int
    loss: float
    stopped_early: bool = False
