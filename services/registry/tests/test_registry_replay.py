"""The registry's state made again from the log is what it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from headrace_events.data import DatasetCurated
from headrace_events.evaluation import EvaluationCompleted, EvaluationFailed, GateResult
from headrace_events.models import ModelRegistered
from headrace_events.rollout import RollbackRequested, RolloutFinished
from headrace_events.training import TrainingCompleted
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Service
from headrace_kit.jobs import JobContext
from headrace_kit.testing_replay import Life, rows_in
from headrace_registry import registration
from headrace_registry.adapters.tables import Base
from headrace_registry.app import build
from headrace_registry.core.registration import Candidate
from headrace_registry.settings import Settings

NAME = "support"


class Numbers:
    """Numbers versions, as MLflow does."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    async def find_or_create(self, candidate: Candidate) -> str:
        return self.known.setdefault(candidate.key, str(len(self.known) + 1))


def make(url: str) -> Service:
    service = build(Settings(database={"url": url}))
    job = registration.RegistrationJob(Numbers())
    service._jobs[registration.JOB]._work = job.work

    async def mirrored(ctx: JobContext) -> None:
        async with ctx.finish():
            pass

    service._jobs["mirror"]._work = mirrored
    return service


async def evaluated(life: Life, number: int, *, passed: bool = True, failed: bool = False) -> None:
    """Evaluate a version as the evaluator would, with the facts of its registration."""
    registered = ModelRegistered.model_validate_json(
        [r.value for r in life.log if dict(r.headers)["ce_type"] == ModelRegistered.TYPE.encode()][
            number - 1
        ]
    )
    if failed:
        data: Any = EvaluationFailed(
            evaluation_id=f"e{number}", model=registered.model, reason="no holdout"
        )
    else:
        bound = 0.1 if passed else -0.9
        data = EvaluationCompleted(
            evaluation_id=f"e{number}",
            model=registered.model,
            incumbent=registered.incumbent,
            dataset=registered.dataset,
            metrics=(),
            gates=(
                GateResult(
                    metric="rouge_l", margin=-0.01, passed=passed, bound=bound, reason="bound"
                ),
            ),
            passed=passed,
            seconds=1.0,
        )
    await life.give(data, source="evaluator", workload=NAME)


async def rolled_out(life: Life, number: int, outcome: str = "succeeded") -> None:
    registered = [
        ModelRegistered.model_validate_json(r.value)
        for r in life.log
        if dict(r.headers)["ce_type"] == ModelRegistered.TYPE.encode()
    ][number - 1]
    data = RolloutFinished.model_validate(
        {
            "rollout_id": f"r{number}",
            "candidate": registered.model,
            "incumbent": registered.incumbent,
            "outcome": outcome,
            "reason": f"it {outcome}",
        }
    )
    await life.give(data, source="serving", workload=NAME)


async def ask(life: Life, path: str, **body: Any) -> httpx2.Response:
    """Ask for something over HTTP, and let what it emits be published."""
    transport = httpx2.ASGITransport(app=life.service.api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://registry") as http:
        answer = await http.post(f"/models/{NAME}/{path}", json=body)
    await life.publish()
    return answer


async def test_replay_makes_the_same_registry(
    database_url: str, tmp_path: Path, trained: Callable[..., TrainingCompleted]
) -> None:
    life = Life(make(database_url), Base.metadata)
    await life.service.database.create()
    manifest = Manifest.model_validate(
        {"apiVersion": "headrace/v1", "kind": "Workload", "metadata": {"name": NAME}}
    )
    applied = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
    await life.give(applied, source="stack", workload=NAME)
    for number in range(1, 6):
        training = trained(f"job-{number}", f"run-{number}", tmp_path / str(number))
        if number == 5:
            training = training.model_copy(
                update={"artefact": training.artefact.model_copy(update={"digest": "f" * 64})}
            )
        curated = DatasetCurated(
            dataset=training.dataset, batches=("b",), sources=("file:x",), rejects={"empty": 1}
        )
        await life.give(curated, source="data-quality", workload=NAME)
        await life.give(training, source="trainer", workload=NAME)
        await life.work()
        match number:
            case 1:
                await evaluated(life, 1)
                await rolled_out(life, 1)
            case 2:
                await evaluated(life, 2, passed=False)
            case 3:
                await evaluated(life, 3)
                await rolled_out(life, 3)
                asked = RollbackRequested(reason="too slow")
                await life.give(asked, source="operators", workload=NAME)
                again = await ask(life, "versions/3/promote", reason="the disk", operator="anna")
                assert again.json()["states"] == {"1": "previous", "3": "promoted"}
                back = (await ask(life, "rollback", reason="too slow still")).json()
                assert (back["before"], back["production"]) == ("3", "1")
                refused = await ask(life, "rollback", reason="me too")
                assert refused.status_code == 409
                gone = await ask(life, "versions/3/retire", reason="no more")
                assert gone.json()["changed"]
            case 4:
                await evaluated(life, 4, failed=True)
        await life.work()
    before = await life.dump()
    states = {row["version"]: row["state"] for row in before["model_versions"]}
    assert states == {"1": "promoted", "2": "rejected", "3": "retired", "4": "rejected"}
    assert min(rows_in(before, "version_events", "kit_jobs", "kit_inbox", "kit_workloads")) > 0

    published = len(life.log)
    after, report, fresh = await life.replayed(lambda: make(f"sqlite+aiosqlite:///{tmp_path}/r.db"))
    assert after == before
    assert (report.failed, report.unpublished, report.open_jobs) == ([], 0, 0)
    again = Life(fresh, Base.metadata)
    await again.publish()
    await again.work()
    assert again.log == [] and len(life.log) == published, "a replay has no effect elsewhere"
    await fresh.database.close()
    await life.service.database.close()


async def test_what_was_written_and_never_published_is_published_after_the_replay(
    tmp_path: Path, trained: Callable[..., TrainingCompleted]
) -> None:
    """The database died with a full outbox: its model.registered and its job's end are not told."""
    life = Life(make(f"sqlite+aiosqlite:///{tmp_path}/a.db"), Base.metadata)
    await life.service.database.create()
    manifest = Manifest.model_validate(
        {"apiVersion": "headrace/v1", "kind": "Workload", "metadata": {"name": NAME}}
    )
    applied = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
    await life.give(applied, source="stack", workload=NAME)
    await life.give(trained("job-1", "run-1", tmp_path / "1"), source="trainer", workload=NAME)
    await life.work()
    await evaluated(life, 1)
    lost = [r for r in life.log if dict(r.headers)["ce_type"] == b"model.approved.v1"]
    assert len(lost) == 1
    life.log.remove(lost[0])
    before = await life.dump()
    after, report, fresh = await life.replayed(lambda: make(f"sqlite+aiosqlite:///{tmp_path}/r.db"))
    assert report.unpublished == 1
    assert {row["state"] for row in after["model_versions"]} == {"approved"}
    assert rows_in(after, "model_versions") == rows_in(before, "model_versions")
    again = Life(fresh, Base.metadata)
    await again.publish()
    assert [dict(r.headers)["ce_id"] for r in again.log] == [dict(lost[0].headers)["ce_id"]]
    await fresh.database.close()
    await life.service.database.close()
