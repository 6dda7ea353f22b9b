"""What a person decides about a line of versions. Pure: state in, changes and facts out.

Who repeats what is done already changes nothing (an empty decision). Everything else that cannot
be is a refusal: one sentence that says why, and what can be done instead.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from headrace_events.models import ModelRolledBack
from headrace_events.rollout import PromotionRequested, RetirementRequested, RollbackRequested
from headrace_registry.core.decisions import (
    Decision,
    is_current,
    next_in_queue,
    promote,
    reject,
    retire,
)
from headrace_registry.core.gate import failed_gates
from headrace_registry.core.versions import BASE, Line, State, Version, base_ref

Asked = RollbackRequested | PromotionRequested | RetirementRequested

# Two people see the same fault and both ask for "the one before": the second one would take back
# what the first one restored. In this time a further step has to be named.
_SAME_FAULT = timedelta(seconds=60)


def decide(line: Line, asked: Asked, at: datetime | None = None) -> Decision:
    """Decide what a person asks for; `at`: when."""
    match asked:
        case RollbackRequested():
            return on_rollback(line, asked, at)
        case PromotionRequested():
            return on_promotion(line, asked)
        case RetirementRequested():
            return on_retirement(line, asked)


def subject_of(line: Line, asked: Asked) -> str:
    """The version that a request is about: of a roll-back the one that loses production."""
    if isinstance(asked, RollbackRequested):
        return line.production.version if line.production else BASE
    return asked.version


def on_rollback(line: Line, request: RollbackRequested, at: datetime | None = None) -> Decision:
    """Put back an earlier version or the base; a running canary ends, what it must beat is gone."""
    production = line.production
    if request.to == (production.version if production else BASE):
        return Decision()
    if production is None:
        return Decision(refusal="nothing to roll back: the base is in production")
    target = _target(line, production, request.to, at)
    if isinstance(target, Decision):
        return target
    decision = Decision((production.to(State.ROLLED_BACK, request.reason),))
    passed_over = line.newest(State.PREVIOUS)
    if passed_over and passed_over != target:
        to = target.version if target else f"the {BASE}"
        reason = f"version {production.version} was rolled back past it, to {to}"
        decision = decision.then(retire(passed_over, reason))
    if target:
        why = f"put back for version {production.version}: {request.reason}"
        decision = decision.then(Decision((target.to(State.PROMOTED, why),)))
    restored = target.ref if target else base_ref(line.name, production.base)
    fact = ModelRolledBack(model=production.ref, restored=restored, reason=request.reason)
    decision = decision.then(Decision(facts=(fact,)))
    ended = f"version {production.version}, which its canary ran against, was rolled back"
    return _and_the_canary(line, decision, ended)


def on_promotion(line: Line, request: PromotionRequested) -> Decision:
    """Give all traffic to a version that has shown before what it can do."""
    found = line.find(request.version)
    if found is None:
        return _unknown(request.version)
    if found.state is State.PROMOTED:
        return Decision()
    unproven = _unproven(line, found)
    if unproven:
        return Decision(refusal=unproven)
    ended = f"version {found.version} was promoted by hand while its canary ran: {request.reason}"
    return _and_the_canary(line, promote(line, found, request.reason), ended)


def on_retirement(line: Line, request: RetirementRequested) -> Decision:
    """Take a version out of use: its canary ends, and no roll-back chooses it by itself."""
    found = line.find(request.version)
    if found is None:
        return _unknown(request.version)
    if found.state is State.PROMOTED:
        return Decision(
            refusal=f"version {found.version} is in production: roll back, or promote another "
            "version, before you retire it"
        )
    if found.state is State.REJECTED:
        return Decision(refusal=f"version {found.version} was rejected before: {found.reason}")
    if found.withdrawn:
        return Decision()
    decision = retire(replace(found, withdrawn=True), request.reason)
    return (
        decision.then(next_in_queue(line.with_changes(decision.changes)))
        if (found.state is State.APPROVED)
        else decision
    )


def _target(
    line: Line, production: Version, to: str | None, at: datetime | None
) -> Version | Decision | None:
    """The version to put back, None for the base, or why there is none."""
    if to is None:
        lately = _rolled_back_lately(line, production, at)
        return lately or line.before(production)
    if to == BASE:
        return None
    found = line.find(to)
    if found is None:
        return _unknown(to)
    if found.may_be_put_back:
        return found
    if found.was_in_production:
        left = "retired by hand" if found.withdrawn else "rolled back"
        return Decision(
            refusal=f"version {to} was {left} itself ({found.reason}): a roll-back does not "
            "choose it; promote it again if you mean it"
        )
    return Decision(
        refusal=f"version {to} never was in production: a roll-back goes to one that was"
    )


def _rolled_back_lately(line: Line, production: Version, at: datetime | None) -> Decision | None:
    since = production.changed_at
    if at is None or since is None or not timedelta(0) <= at - since < _SAME_FAULT:
        return None
    lost = next(
        (v for v in line.versions if v.state is State.ROLLED_BACK and v.changed_at == since), None
    )
    if lost is None:
        return None
    before = line.before(production)
    return Decision(
        refusal=f"version {lost.version} was rolled back {(at - since).total_seconds():.0f} s ago "
        f"({lost.reason}), and {production.version} answers since. To go a step further, name it: "
        f"{before.version if before else BASE}"
    )


def _unproven(line: Line, version: Version) -> str | None:
    """Why a version may not be promoted by hand; what was in production once has shown itself."""
    number = version.version
    if version.state is State.REJECTED:
        return f"version {number} was rejected and cannot be promoted: {version.reason}"
    if version.was_in_production:
        return None
    if version.state is State.REGISTERED or version.evaluation is None:
        return f"version {number} waits for its evaluation: nothing says yet how good it is"
    if not version.evaluation.passed:
        return f"version {number} did not pass its gates: {failed_gates(version.evaluation)}"
    if not is_current(line, version):
        return (
            f"version {number} was evaluated against version "
            f"{version.evaluation.incumbent.version}, which is not in production any more"
        )
    return None


def _and_the_canary(line: Line, decision: Decision, ended: str) -> Decision:
    """End the canary that ran against what has left production, then see who waits for its end."""
    after = line.with_changes(decision.changes)
    if after.canary:
        decision = decision.then(reject(after.canary, ended))
    return decision.then(next_in_queue(line.with_changes(decision.changes)))


def _unknown(version: str) -> Decision:
    return Decision(refusal=f"version {version} is not registered")
