"""What an event decides about a line of versions. Pure: state in, changes and facts out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace_events import EventData
from headrace_events.evaluation import EvaluationCompleted, EvaluationFailed, EvaluationRequested
from headrace_events.models import ModelApproved, ModelPromoted, ModelRejected, ModelRetired
from headrace_events.rollout import RolloutFinished
from headrace_events.workload import Gate
from headrace_registry.core.gate import shut_reason
from headrace_registry.core.versions import Line, State, Version


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
        return reject(version, reason)
    if not is_current(line, version):
        # Production changed while this version was being evaluated: what it beat is gone.
        return _evaluate_again(line, version)
    if line.canary is None:
        return _approve(line, version)
    queued = line.newest(State.QUEUED)
    place = Decision()
    if queued:
        place = reject(queued, f"superseded by version {version.version} while it was queued")
    reason = f"waits for the end of version {line.canary.version}'s canary"
    return place.then(Decision((version.to(State.QUEUED, reason),)))


def on_evaluation_failed(line: Line, failed: EvaluationFailed) -> Decision:
    """Without scores the gate stays shut."""
    found = _expect(line, failed.model.version, State.REGISTERED)
    if isinstance(found, Decision):
        return found
    reason = f"evaluation failed: {failed.reason}"
    return reject(found, reason, failed.evaluation_id)


def on_rollout_finished(line: Line, finished: RolloutFinished) -> Decision:
    """Promote or reject the canary, then let the queued version go on."""
    known = line.find(finished.candidate.version)
    if known and known.state is State.PROMOTED and finished.outcome == "succeeded":
        return Decision()  # somebody promoted it before its canary was over, which ended it
    found = _expect(line, finished.candidate.version, State.APPROVED)
    if isinstance(found, Decision):
        return found
    artefact = finished.candidate.artefact
    if artefact is None or artefact.digest != found.artefact.digest:
        decision = reject(found, "the canary served another artefact than the registered one")
    elif finished.outcome == "failed":
        decision = reject(found, f"canary failed: {finished.reason}")
    else:
        decision = promote(line, found)
    return decision.then(next_in_queue(line.with_changes(decision.changes)))


def _expect(line: Line, version: str, state: State) -> Version | Decision:
    found = line.find(version)
    if found is None:
        return Decision(refusal=f"version {version} is not registered")
    if found.state is not state:
        return Decision(refusal=f"version {version} is {found.state}, not {state}")
    return found


def reject(version: Version, reason: str, evaluation_id: str | None = None) -> Decision:
    """Take a version out of the way to production; the fact carries its evaluation."""
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


def promote(line: Line, version: Version, why: str | None = None) -> Decision:
    """Give all traffic to a version; `why` where a person says so and no canary has shown it."""
    production = line.production
    decision = Decision()
    oldest = line.newest(State.PREVIOUS)
    if oldest and production and oldest != version:
        reason = f"version {version.version} was promoted; {production.version} can be put back"
        decision = retire(oldest, reason)
    if production:
        decision = decision.then(Decision((production.to(State.PREVIOUS),)))
    previous = line.incumbent(version.base)
    promoted = replace(
        version.to(State.PROMOTED, why or ""), replaced=previous.version, withdrawn=False
    )
    fact = ModelPromoted(model=version.ref, previous=previous, reason=why)
    return decision.then(Decision((promoted,), (fact,)))


def retire(version: Version, reason: str) -> Decision:
    """Take a version out of use."""
    fact = ModelRetired(model=version.ref, reason=reason)
    return Decision((version.to(State.RETIRED, reason),), (fact,))


def next_in_queue(line: Line) -> Decision:
    """Let the version that waits for the end of a canary go on."""
    queued = line.newest(State.QUEUED)
    if queued is None:
        return Decision()
    return _approve(line, queued) if is_current(line, queued) else _evaluate_again(line, queued)


def is_current(line: Line, version: Version) -> bool:
    """Whether the version was evaluated against what is in production now."""
    if version.evaluation is None:
        return False
    return version.evaluation.incumbent == line.incumbent(version.base)


def _evaluate_again(line: Line, version: Version) -> Decision:
    incumbent = line.incumbent(version.base)
    reason = f"evaluated again: version {incumbent.version} is in production now"
    back = version if version.state is State.REGISTERED else version.to(State.REGISTERED)
    fact = EvaluationRequested(model=version.ref, incumbent=incumbent, dataset=version.dataset)
    return Decision((replace(back, reason=reason),), (fact,))
