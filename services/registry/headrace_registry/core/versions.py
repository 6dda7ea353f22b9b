"""A workload's line of model versions and the states they go through."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from headrace_events.evaluation import EvaluationCompleted
from headrace_events.references import ArtefactRef, DatasetRef, ModelRef

BASE = "base"


class State(StrEnum):
    """Where a version stands; the alias it carries in MLflow follows from it."""

    REGISTERED = "registered"
    """Waits for an evaluation (alias `candidate`)."""
    QUEUED = "queued"
    """Passed its gate while another version's canary runs (alias `candidate`)."""
    APPROVED = "approved"
    """Takes canary traffic (alias `canary`)."""
    PROMOTED = "promoted"
    """Takes all traffic (alias `production`)."""
    PREVIOUS = "previous"
    """Was in production and can be put back (alias `previous`)."""
    RETIRED = "retired"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"


ALIASES = {
    "candidate": (State.REGISTERED, State.QUEUED),
    "canary": (State.APPROVED,),
    "production": (State.PROMOTED,),
    "previous": (State.PREVIOUS,),
}

TRANSITIONS: dict[State, frozenset[State]] = {
    State.REGISTERED: frozenset({State.QUEUED, State.APPROVED, State.REJECTED, State.RETIRED}),
    State.QUEUED: frozenset(
        {State.REGISTERED, State.APPROVED, State.PROMOTED, State.REJECTED, State.RETIRED}
    ),
    State.APPROVED: frozenset({State.PROMOTED, State.REJECTED, State.RETIRED}),
    State.PROMOTED: frozenset({State.PREVIOUS, State.ROLLED_BACK}),
    State.PREVIOUS: frozenset({State.PROMOTED, State.RETIRED}),
    State.RETIRED: frozenset({State.PROMOTED, State.RETIRED}),
    State.REJECTED: frozenset(),
    State.ROLLED_BACK: frozenset({State.PROMOTED, State.RETIRED}),
}


class IllegalTransition(Exception):
    """A decision asked for a state that cannot follow; a defect here, not in the event."""


@dataclass(frozen=True)
class Version:
    """One registered version of a workload's model."""

    name: str
    version: str
    base: str
    artefact: ArtefactRef
    dataset: DatasetRef
    state: State = State.REGISTERED
    evaluation: EvaluationCompleted | None = None
    replaced: str | None = None
    """The version that was in production before this one (`base` at first)."""
    reason: str = ""
    withdrawn: bool = False
    """Retired by a person: it is put back by name only, never because it comes next."""
    changed_at: datetime | None = None

    @property
    def was_in_production(self) -> bool:
        """Whether it ever took all traffic."""
        return self.replaced is not None or self.state is State.PREVIOUS

    @property
    def may_be_put_back(self) -> bool:
        """Whether a roll-back may choose it: it answered once, and nobody took it out of use."""
        left = self.state in (State.PREVIOUS, State.RETIRED)
        return left and self.was_in_production and not self.withdrawn

    @property
    def ref(self) -> ModelRef:
        """The claim check that events carry."""
        return ModelRef(
            name=self.name, version=self.version, base=self.base, artefact=self.artefact
        )

    def to(self, state: State, reason: str = "") -> "Version":
        """Return the version in its next state."""
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self.name} {self.version}: {self.state} -> {state}")
        return replace(self, state=state, reason=reason)


@dataclass(frozen=True)
class Line:
    """All versions of one workload, oldest first."""

    name: str
    versions: tuple[Version, ...] = ()

    def find(self, version: str) -> Version | None:
        """Return the version with this number."""
        return next((v for v in self.versions if v.version == version), None)

    def newest(self, *states: State) -> Version | None:
        """Return the newest version in one of the states."""
        return next((v for v in reversed(self.versions) if v.state in states), None)

    @property
    def production(self) -> Version | None:
        """The version that takes all traffic; None: the base does."""
        return self.newest(State.PROMOTED)

    @property
    def canary(self) -> Version | None:
        """The version whose canary runs."""
        return self.newest(State.APPROVED)

    def before(self, version: Version) -> Version | None:
        """The nearest version that answered before `version` and may be put back; None: base."""
        seen = {version.version}
        while (found := self.find(version.replaced or BASE)) and found.version not in seen:
            if found.may_be_put_back:
                return found
            seen.add(found.version)
            version = found
        return None

    def incumbent(self, base: str) -> ModelRef:
        """What a candidate has to beat: production, or the base that it was tuned from."""
        return self.production.ref if self.production else base_ref(self.name, base)

    def with_changes(self, changes: Iterable[Version]) -> "Line":
        """Return the line after the changes."""
        changed = {v.version: v for v in changes}
        return replace(self, versions=tuple(changed.get(v.version, v) for v in self.versions))

    def aliases(self) -> dict[str, str]:
        """Return alias -> version, as MLflow's registry has to show it."""
        found = {alias: self.newest(*states) for alias, states in ALIASES.items()}
        return {alias: v.version for alias, v in found.items() if v}


def base_ref(name: str, base: str) -> ModelRef:
    """Return the reference of the base itself."""
    return ModelRef(name=name, version=BASE, base=base)
