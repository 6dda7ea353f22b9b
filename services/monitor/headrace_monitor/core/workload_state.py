"""What a workload does now, since when, why it waits, and what its owner can do about it.

One sentence, made here for all who show it: the console, `GET /workloads` and the command line.

A canary or a training that is under way is what the workload does; otherwise the newest fact says
it: a refused source, refused records, the newest mark of a turn, a roll-back.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from headrace_events.workload import Manifest
from headrace_monitor.core.loop import Rollout, Training, WorkloadLoop
from headrace_monitor.core.newest_fact import newest_fact, step_records, step_source
from headrace_monitor.core.states import (
    NEXT,
    Reached,
    Stage,
    Standing,
    State,
    Trouble,
    version,
)

IDLE_AFTER = timedelta(seconds=10)
"""Without a request of the candidate for so long, the sentence says so."""

# Whose turn it is: what waits for a service that is down says so.
_WORKS: Final[Mapping[Stage, str]] = {
    "landing": "ingest",
    "curating": "data-quality",
    "training": "trainer",
    "evaluating": "evaluator",
    "canary": "serving",
}
_REACHED: Final[Mapping[str, Reached]] = {
    "landed": "landed",
    "curated": "curated",
    "trained": "trained",
    "evaluated": "evaluated",
    "gate": "approved",
    "canary": "canary",
    "finished": "promoted",
}


def state(
    loop: WorkloadLoop,
    manifest: Manifest | None,
    now: datetime,
    *,
    standing: Standing | None = None,
    services: Mapping[str, str] | None = None,
) -> State:
    """Say what the workload does at `now`; `services` are the probes' words, by service."""
    if loop.rollout and loop.rollout.state == "running":
        found = _canary(loop, loop.rollout, standing, now)
    elif loop.training and loop.training.state == "running":
        found = _training(loop.training)
    else:
        found = newest_fact(loop, manifest)
    return _without_worker(found, services or {})


def troubles(loop: WorkloadLoop) -> list[Trouble]:
    """Return what was refused and is not mended, newest first, whatever else is under way."""
    found = [
        Trouble(one.at, f"source refused: {one.text}", step_source())
        for one in loop.source_problems.values()
    ]
    if loop.dataset_problem and loop.dataset_problem_at and not loop.nothing_new:
        text = f"records refused: {loop.dataset_problem}"
        found.append(Trouble(loop.dataset_problem_at, text, step_records(loop.name)))
    return sorted(found, key=lambda one: one.at, reverse=True)


def reached(loop: WorkloadLoop) -> dict[Reached, datetime]:
    """Return when each stage was last reached well, by any turn."""
    found: dict[Reached, datetime] = {}
    waiting = [mark for marks in loop.waiting.values() for mark in marks]
    for mark in (*waiting, *(mark for turn in loop.turns.values() for mark in turn.marks)):
        name = _REACHED.get(mark.stage)
        # An evaluation counts whatever it says: the gate is another stage.
        if name and (mark.good or name == "evaluated"):
            found[name] = max(found.get(name, mark.at), mark.at)
    return found


def _without_worker(found: State, services: Mapping[str, str]) -> State:
    worker = _WORKS.get(found.stage, "")
    if services.get(worker) != "down":
        return found
    detail = f"{found.detail}; {worker} is down" if found.detail else f"{worker} is down"
    step = f"`headrace logs {worker}` says why {worker} is down"
    return replace(found, detail=detail, step=step)


def _canary(
    loop: WorkloadLoop, rollout: Rollout, standing: Standing | None, now: datetime
) -> State:
    title = f"Canary {version(rollout.candidate)} at {rollout.weight} %"
    since = rollout.started_at
    if standing is None:
        return State("canary", title, "waiting for requests", since, NEXT["canary"], progress=0)
    detail = standing.reason.split(":")[0] if standing.waits else standing.reason
    step = ""
    idle_since = max(filter(None, (rollout.stepped_at, standing.last_request)), default=now)
    if standing.waits and now - idle_since >= IDLE_AFTER:
        detail = f"{detail}; without traffic since {_length(now - idle_since)}"
        missing = max(standing.needed - standing.requests, 1)
        asked = -(-missing * 100 // max(rollout.weight, 1))
        step = (
            f'send requests: `headrace ask {loop.name} "…"`, or the product\'s; of about {asked} '
            f"the candidate gets the {missing} that it misses"
        )
    progress = min(1.0, standing.requests / max(standing.needed, 1))
    return State("canary", title, detail, since, NEXT["canary"], step, progress)


def _training(job: Training) -> State:
    parts = [f"step {job.step} of {job.steps}" if job.steps else "its workers start"]
    if job.losses:
        parts.append(f"loss {job.losses[-1][1]:.3f}")
    if job.tokens_per_second:
        parts.append(f"{job.tokens_per_second:.0f} tokens/s")
    title = f"Training on dataset v{job.dataset}" if job.dataset else "Training"
    progress = job.step / job.steps if job.steps else 0.0
    return State(
        "training", title, " · ".join(parts), job.started_at, NEXT["training"], progress=progress
    )


def _length(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    if seconds < 60:
        return f"{seconds // 10 * 10} s"  # what is shown does not change each second
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
