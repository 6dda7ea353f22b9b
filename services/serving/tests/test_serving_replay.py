"""Serving's state made again from the log is what it was, and no model is loaded for it."""

from pathlib import Path
from typing import Any

from headrace_events import Event
from headrace_events.models import (
    ModelApproved,
    ModelPromoted,
    ModelRejected,
    ModelRetired,
    ModelRolledBack,
)
from headrace_events.references import ArtefactRef, ModelRef
from headrace_events.rollout import ArmStats, CanaryJudged
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Service
from headrace_kit.testing_replay import Life, rows_in
from headrace_serving.adapters.routes import RouteCache
from headrace_serving.adapters.tables import Base
from headrace_serving.app import build
from headrace_serving.core.generation import Adapter, AdapterRefused
from headrace_serving.core.routing import Choice
from headrace_serving.events import ROLLOUT_JOB
from headrace_serving.rollouts import RefusedCanaries, RolloutJobs
from headrace_serving.settings import Settings

NAME = "support"


class Loads:
    """Loads everything but version 3, and counts."""

    def __init__(self) -> None:
        self.loaded = 0

    async def load(self, base: str, adapter: Adapter) -> None:
        self.loaded += 1
        if adapter.digest.startswith("3"):
            raise AdapterRefused("its digest is another one")


def make(url: str, engine: Loads) -> Service:
    service = build(Settings(database={"url": url}))
    taken: Any = engine
    jobs = RolloutJobs(taken)
    service._jobs[ROLLOUT_JOB]._work, service._jobs[ROLLOUT_JOB]._failed = jobs.work, jobs.failed
    return service


def model(version: str) -> ModelRef:
    artefact = ArtefactRef(uri=f"file:///{version}", digest=version * 64, size_bytes=9)
    return ModelRef(
        name=NAME, version=version, base="smol", artefact=None if version == "base" else artefact
    )


class ServingLife(Life):
    """With requests that find out what an engine refuses."""

    async def refused(self, version: str) -> None:
        cache = RouteCache(self.service.database)
        await cache.refresh()
        end = RefusedCanaries(self.service, cache)
        for _ in range(2):  # of the second request nothing is left to end
            await end(NAME, Choice(model(version), "canary"), "its digest is another one")
        await self.publish()


async def judged(life: Life, rollout: str, step: int, verdict: str) -> Event[Any]:
    arm = ArmStats(version="1", requests=50, errors=0, p50_ms=1, p95_ms=2)
    data = CanaryJudged.model_validate(
        {
            "rollout_id": rollout,
            "step": step,
            "verdict": verdict,
            "reason": f"step {step}: {verdict}",
            "candidate": arm,
            "incumbent": arm,
        }
    )
    return await life.give(data, source="monitor", workload=NAME)


async def test_replay_makes_the_same_routes(database_url: str, tmp_path: Path) -> None:
    engine = Loads()
    life = ServingLife(make(database_url, engine), Base.metadata)
    await life.service.database.create()
    manifest = Manifest.model_validate(
        {"apiVersion": "headrace/v1", "kind": "Workload", "metadata": {"name": NAME}}
    )
    applied = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
    await life.give(applied, source="stack", workload=NAME)

    async def approve(version: str, incumbent: str) -> str:
        approved = ModelApproved(
            model=model(version), incumbent=model(incumbent), evaluation_id=f"e{version}"
        )
        await life.give(approved, source="registry", workload=NAME)
        await life.work()
        jobs = (await life.dump())["kit_jobs"]
        newest = next(j for j in jobs if j["payload"]["model"]["version"] == version)
        return str(newest["key"])

    async def tell(data: Any) -> None:
        await life.give(data, source="registry", workload=NAME)

    first = await approve("1", "base")
    await judged(life, first, 0, "advance")
    await judged(life, first, 0, "advance")  # old: changes nothing
    await judged(life, first, 1, "advance")
    await tell(ModelPromoted(model=model("1"), previous=model("base")))
    second = await approve("2", "1")
    await judged(life, second, 0, "fail")
    await tell(ModelRejected(model=model("2"), reason="the canary failed"))
    await approve("3", "1")  # cannot be loaded
    await approve("6", "1")  # refused while it runs, as by a new replica
    await life.refused("6")
    await approve("4", "1")
    await approve("5", "1")  # supersedes it
    await tell(ModelRolledBack(model=model("1"), restored=model("base"), reason="slow"))
    await tell(ModelRejected(model=model("5"), reason="what it ran against was rolled back"))
    await tell(ModelPromoted(model=model("1"), previous=model("base"), reason="it was the disk"))
    await approve("7", "1")
    await tell(ModelRetired(model=model("7"), reason="trained on what had to be deleted"))
    await approve("8", "1")
    await tell(ModelPromoted(model=model("8"), previous=model("1"), reason="needed today"))
    ended = [r for r in life.log if dict(r.headers)["ce_type"] == b"rollout.finished.v1"][-2:]
    assert b"had to be deleted" in ended[0].value and b"needed today" in ended[1].value
    cache = RouteCache(life.service.database)
    await cache.refresh()
    assert cache.get(NAME).production == model("8") and cache.get(NAME).canary is None

    before = await life.dump()
    states = {row["version"]: row["state"] for row in before["serving_rollouts"]}
    failed = dict.fromkeys(("2", "3", "4", "5", "6", "7"), "failed")
    assert states == {"1": "succeeded", "8": "succeeded", **failed}
    assert min(rows_in(before, "serving_routes", "kit_jobs", "kit_inbox")) > 0
    idle = Loads()
    after, report, fresh = await life.replayed(
        lambda: make(f"sqlite+aiosqlite:///{tmp_path}/r.db", idle)
    )
    assert after == before
    assert (report.failed, report.unpublished, report.open_jobs) == ([], 0, 0)
    rest = Life(fresh, Base.metadata)
    await rest.publish()
    await rest.work()
    assert rest.log == [] and idle.loaded == 0 < engine.loaded
    await fresh.database.close()
    await life.service.database.close()
