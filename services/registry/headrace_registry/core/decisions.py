"""What an event decides about a line of versions. Pure: state in, changes and facts out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace_events import EventData
from headrace_events.evaluation import EvaluationCompleted, EvaluationFailed, EvaluationRequested
from headrace_events.models import (
    ModelApproved,
    ModelPromoted,
    ModelRejected,
    ModelRetired,
    ModelRolledBack,
)
from headrace_events.rollout import RollbackRequested, RolloutFinished
from headrace_events.workload import Gate
from headrace_registry.core.gate import shut_reason
from headrace_registry.core.versions import Line, State, Version, base_ref


@dataclass(frozen=True)
class Decision:
    """What follows from an event.

    `changes` are in the order to be written: a place (canary, production) is left before it is
    taken. With a `refusal` nothing changes; it is written down and that is all.
    """

    changes: tuple[Version, ...] = ()
    facts: tuple[EventData, ...] = ()
    refusal: str | None = None

    def then(self, later: "Decision") -> "Decision":
        """Return both decisions as one."""
        return Decision((*self.changes, *later.changes), (*self.facts, *later.facts))


def on_evaluated(line: Line, done: EvaluationCompleted, gates: Sequence[Gate] | None) -> Decision:
    """Open the gate for the evaluated version, queue it, ask again, or reject it."""
    found = _expect(line, done.model.version, State.REGISTERED)
    if isinstance(found, Decision):
        return found
    if done.dataset.digest != found.dataset.digest:
        return Decision(
            refusal=f"evaluation {done.evaluation_id} is not on the dataset version that version "
            f"{found.version} was registered with: it cannot open the gate"
        )
    version = replace(found, evaluation=done)
    reason = shut_reason(version, done, gates)
    if reason:
        return _reject(version, reason)
    if not _is_current(line, version):
        # Production changed while this version was being evaluated: what it beat is gone.
        return _evaluate_again(line, version)
    if line.canary is None:
        return _approve(line, version)
    queued = line.newest(State.QUEUED)
    place = Decision()
    if queued:
        place = _reject(queued, f"superseded by version {version.version} while it was queued")
    reason = f"waits for the end of version {line.canary.version}'s canary"
    return place.then(Decision((version.to(State.QUEUED, reason),)))


def on_evaluation_failed(line: Line, failed: EvaluationFailed) -> Decision:
    """Without scores the gate stays shut."""
    found = _expect(line, failed.model.version, State.REGISTERED)
    if isinstance(found, Decision):
        return found
    reason = f"evaluation failed: {failed.reason}"
    return _reject(found, reason, failed.evaluation_id)


def on_rollout_finished(line: Line, finished: RolloutFinished) -> Decision:
    """Promote or reject the canary, then let the queued version go on."""
    found = _expect(line, finished.candidate.version, State.APPROVED)
    if isinstance(found, Decision):
        return found
    artefact = finished.candidate.artefact
    if artefact is None or artefact.digest != found.artefact.digest:
        decision = _reject(found, "the canary served another artefact than the registered one")
    elif finished.outcome == "failed":
        decision = _reject(found, f"canary failed: {finished.reason}")
    else:
        decision = _promote(line, found)
    return decision.then(_next_in_queue(line.with_changes(decision.changes)))


def on_rollback(line: Line, request: RollbackRequested) -> Decision:
    """Put back what was in production before; a running canary ends, what it must beat is gone."""
    production = line.production
    if production is None:
        return Decision(refusal="nothing to roll back: the base is in production")
    earlier = line.find(production.replaced or "")
    restored = earlier.to(State.PROMOTED) if earlier and earlier.state is State.PREVIOUS else None
    decision = Decision((production.to(State.ROLLED_BACK, request.reason),))
    if restored:
        decision = decision.then(Decision((restored,)))
    ref = restored.ref if restored else base_ref(line.name, production.base)
    fact = ModelRolledBack(model=production.ref, restored=ref, reason=request.reason)
    decision = decision.then(Decision(facts=(fact,)))
    if line.canary:
        reason = f"version {production.version}, which its canary ran against, was rolled back"
        decision = decision.then(_reject(line.canary, reason))
    return decision.then(_next_in_queue(line.with_changes(decision.changes)))


def _expect(line: Line, version: str, state: State) -> Version | Decision:
    found = line.find(version)
    if found is None:
        return Decision(refusal=f"version {version} is not registered")
    if found.state is not state:
        return Decision(refusal=f"version {version} is {found.state}, not {state}")
    return found


def _reject(version: Version, reason: str, evaluation_id: str | None = None) -> Decision:
    if version.evaluation:
        evaluation_id = version.evaluation.evaluation_id
    fact = ModelRejected(model=version.ref, reason=reason, evaluation_id=evaluation_id)
    return Decision((version.to(State.REJECTED, reason),), (fact,))


def _approve(line: Line, version: Version) -> Decision:
    assert version.evaluation is not None  # noqa: S101 - only evaluated versions get here
    fact = ModelApproved(
        model=version.ref,
        incumbent=line.incumbent(version.base),
        evaluation_id=version.evaluation.evaluation_id,
    )
    return Decision((version.to(State.APPROVED),), (fact,))


def _promote(line: Line, version: Version) -> Decision:
    production = line.production
    decision = Decision()
    oldest = line.newest(State.PREVIOUS)
    if oldest and production:
        reason = f"version {version.version} was promoted; {production.version} can be put back"
        retired = ModelRetired(model=oldest.ref, reason=reason)
        decision = Decision((oldest.to(State.RETIRED, reason),), (retired,))
    if production:
        decision = decision.then(Decision((production.to(State.PREVIOUS),)))
    previous = line.incumbent(version.base)
    promoted = replace(version.to(State.PROMOTED), replaced=previous.version)
    fact = ModelPromoted(model=version.ref, previous=previous)
    return decision.then(Decision((promoted,), (fact,)))


def _next_in_queue(line: Line) -> Decision:
    queued = line.newest(State.QUEUED)
    if queued is None:
        return Decision()
    return _approve(line, queued) if _is_current(line, queued) else _evaluate_again(line, queued)


def _is_current(line: Line, version: Version) -> bool:
    """Whether the version was evaluated against what is in production now."""
    assert version.evaluation is not None  # noqa: S101 - only evaluated versions get here
    return version.evaluation.incumbent == line.incumbent(version.base)


def _evaluate_again(line: Line, version: Version) -> Decision:
    incumbent = line.incumbent(version.base)
    reason = f"evaluated again: version {incumbent.version} is in production now"
    back = version if version.state is State.REGISTERED else version.to(State.REGISTERED)
    fact = EvaluationRequested(model=version.ref, incumbent=incumbent, dataset=version.dataset)
    return Decision((replace(back, reason=reason),), (fact,))
