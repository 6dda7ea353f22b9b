"""What is asked of the evaluator."""

from dataclasses import dataclass

from headrace_events.references import DatasetRef, ModelRef
from headrace_events.workload import Evaluate

BASE = "base"


@dataclass(frozen=True)
class Order:
    """What somebody wants to know: is `model` better than `incumbent` on `dataset`?"""

    evaluation_id: str
    model: ModelRef
    incumbent: ModelRef
    dataset: DatasetRef

    @property
    def base(self) -> ModelRef:
        """The candidate's base as a model of its own."""
        return ModelRef(name=self.model.name, version=BASE, base=self.model.base)

    def models(self, evaluate: Evaluate) -> tuple[ModelRef, ...]:
        """Return the models to score, the base among them when a gate is against it."""
        wanted = [self.model, self.incumbent]
        if any(gate.against == "base" for gate in evaluate.gates):
            wanted.append(self.base)
        return tuple(dict.fromkeys(wanted))
