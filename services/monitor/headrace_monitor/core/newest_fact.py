"""What a workload does while neither a canary nor a training is under way: its newest fact."""

from datetime import datetime

from headrace_events.workload import Manifest
from headrace_monitor.core.loop import Mark, Turn, WorkloadLoop
from headrace_monitor.core.states import BASE, NEXT, State, version


def newest_fact(loop: WorkloadLoop, manifest: Manifest | None) -> State:
    found: list[tuple[datetime, State]] = []
    if turn := max((t for t in loop.turns.values() if t.marks), key=_last_at, default=None):
        found.append((_last_at(turn), _of_turn(loop, turn, turn.marks[-1])))
    if landed := _waiting_landing(loop):
        found.append((landed.at, _curating(landed)))
    if loop.source_problems:
        at = max(one.at for one in loop.source_problems.values())
        found.append((at, _source_refused(loop, at)))
    if loop.dataset_problem and loop.dataset_problem_at:
        found.append((loop.dataset_problem_at, _records_refused(loop, loop.dataset_problem_at)))
    job = loop.training
    if job and job.ended_at and job.state in ("failed", "cancelled"):
        found.append((job.ended_at, _training_ended(loop, job.reason or "", job.ended_at)))
    rolled_back = [d for d in loop.decisions if d.event == "model.rolled_back"]
    if rolled_back:
        last = rolled_back[-1]
        title = f"{version(loop.production)} is in production"
        detail = f"rolled back, {last.text}"
        found.append((last.at, State("serving", title, detail, last.at, NEXT["serving"])))
    if found:
        # Of one moment the last named: a training that failed is told with its reason.
        return max(enumerate(found), key=lambda one: (one[1][0], one[0]))[1][1]
    return _applied(loop, manifest)


def _last_at(turn: Turn) -> datetime:
    return turn.marks[-1].at


def _waiting_landing(loop: WorkloadLoop) -> Mark | None:
    """Return the newest landing that is in no dataset version yet."""
    marks = [m for key, marks in loop.waiting.items() if key.startswith("batch ") for m in marks]
    return max(marks, key=lambda one: one.at, default=None)


def _curating(landed: Mark) -> State:
    return State("curating", "Curating", f"{landed.text} landed", landed.at, NEXT["curating"])


def _applied(loop: WorkloadLoop, manifest: Manifest | None) -> State:
    since = loop.applied_at
    if manifest is not None and not manifest.spec.data.sources:
        return State(
            "waiting",
            "Waiting for data",
            "the manifest was applied and names no source; the base answers",
            since,
            "records land, by a file or by judged traffic",
            "add `spec.data.sources` and apply again, upload a file for the workload, or send "
            "requests and feedback",
        )
    return State(
        "landing", "Landing sources", "the manifest was applied", since, NEXT["landing"]
    )  # fmt: skip


def _source_refused(loop: WorkloadLoop, at: datetime) -> State:
    return State(
        "refused", "Source refused", loop.source_problem or "", at, "nothing, until it is mended",
        step_source(),
    )  # fmt: skip


def _records_refused(loop: WorkloadLoop, at: datetime) -> State:
    reason = loop.dataset_problem or ""
    if loop.nothing_new:
        title = f"{version(loop.production)} is in production"
        return State("serving", title, reason, loop.production_since or at, NEXT["serving"])
    return State(
        "refused", "Records refused", reason, at, "nothing, until more records land",
        step_records(loop.name),
    )  # fmt: skip


def step_source() -> str:
    return "correct the file or the manifest, then `headrace apply -f FILE` again"


def step_records(name: str) -> str:
    return (
        f"GET /datasets/{name} shows what waits; land more rows, or change "
        "`spec.data` and apply again"
    )


def _training_ended(loop: WorkloadLoop, reason: str, at: datetime) -> State:
    cancelled = loop.training is not None and loop.training.state == "cancelled"
    title = "Training cancelled" if cancelled else "Training failed"
    step = f"POST /v1/fine_tuning/jobs with model `{loop.name}` begins another"
    if not cancelled:
        step = f"`headrace logs trainer` says more; {step}"
    return State(
        "failed", title, reason.removeprefix("cancelled: "), at,
        f"nothing; {_stays(loop)}", step,
    )  # fmt: skip


def _of_turn(loop: WorkloadLoop, turn: Turn, last: Mark) -> State:
    if last.stage in ("landed", "curated", "training", "trained"):
        return _of_data(loop, last)
    if last.stage in ("registered", "evaluated"):
        return _of_scores(loop, turn, last)
    return _of_verdict(loop, turn, last)


def _of_data(loop: WorkloadLoop, last: Mark) -> State:
    if last.stage == "landed":
        return _curating(last)
    if last.stage == "trained":
        if not last.good:
            return _training_ended(loop, last.text, last.at)
        title = "Registering the model"
        return State("evaluating", title, last.text, last.at, NEXT["evaluating"])
    title = "Training is next" if last.stage == "curated" else "Training"
    return State("training", title, last.text, last.at, NEXT["training"])


def _of_scores(loop: WorkloadLoop, turn: Turn, last: Mark) -> State:
    newest = version(turn.model or "?")
    model = loop.models.get(turn.model or "")
    if last.stage == "registered":
        against = version((model.incumbent if model else None) or BASE)
        detail = f"against {against}, on the same holdout rows"
        return State(
            "evaluating", f"Evaluating {newest}", detail, last.at, NEXT["evaluating"]
        )  # fmt: skip
    if last.good or (model and model.evaluation):
        return State("evaluating", "The gate decides", last.text, last.at, NEXT["evaluating"])
    step = f"`headrace logs evaluator` says more; {_figures(loop, turn)}"
    title = f"Evaluation of {newest} failed"
    reason = last.text.partition(": ")[2] or last.text
    return State("failed", title, reason, last.at, _stays(loop), step)


def _of_verdict(loop: WorkloadLoop, turn: Turn, last: Mark) -> State:
    newest = version(turn.model or "?")
    titles = {"gate": f"{newest} passed the gate", "canary": f"Canary {newest}",
              "judged": "Canary judged"}  # fmt: skip
    if last.stage in ("canary", "judged") or (last.stage == "gate" and last.good):
        detail = "its canary starts" if last.stage == "gate" else last.text
        return State("canary", titles[last.stage], detail, last.at, NEXT["canary"])
    if last.good:
        title = f"{version(loop.production)} is in production"
        detail = "waiting for feedback to turn again"
        return State("serving", title, detail, last.at, NEXT["serving"])
    place = "stopped at the gate" if last.stage == "gate" else "failed its canary"
    detail = f"{_why(loop, turn, last.text)}; {_stays(loop)}"
    return State(
        "refused", f"{newest} {place}", detail, last.at, NEXT["serving"], _figures(loop, turn)
    )  # fmt: skip


def _stays(loop: WorkloadLoop) -> str:
    return f"{version(loop.production)} stays in production"


def _figures(loop: WorkloadLoop, turn: Turn) -> str:
    return f"`headrace models show {loop.name} {turn.model or ''}".rstrip() + "` shows the figures"


def _why(loop: WorkloadLoop, turn: Turn, text: str) -> str:
    model = loop.models.get(turn.model or "")
    return (model.reason if model else None) or text.partition(": ")[2] or text
