"""What people decide at the registry, as serving hears it: the version answers, canaries end."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace_events.models import (
    ModelApproved,
    ModelPromoted,
    ModelRejected,
    ModelRetired,
    ModelRolledBack,
)
from headrace_events.references import ArtefactRef, ModelRef
from headrace_events.rollout import RolloutFinished
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit.testing_replay import Life
from headrace_serving.adapters.echo_engine import EchoEngine
from headrace_serving.adapters.routes import RouteCache
from headrace_serving.adapters.tables import Base
from headrace_serving.app import build
from headrace_serving.core.batching import Batcher
from headrace_serving.core.generation import Prompt
from headrace_serving.events import ROLLOUT_JOB
from headrace_serving.generating import Generator, Request
from headrace_serving.rollouts import RolloutJobs
from headrace_serving.settings import Settings

NAME = "support"
MANIFEST = Manifest.model_validate(
    {
        "apiVersion": "headrace/v1",
        "kind": "Workload",
        "metadata": {"name": NAME},
        "spec": {"base": "smol", "serve": {"canary": {"steps": [100]}}},
    }
)


def model(version: str) -> ModelRef:
    artefact = ArtefactRef(uri=f"file:///{version}", digest=version * 64, size_bytes=9)
    return ModelRef(
        name=NAME, version=version, base="smol", artefact=None if version == "base" else artefact
    )


class Serving(Life):
    """The service with the echo engine, and who answers a request now."""

    async def tell(self, *facts: Any) -> None:
        for fact in facts:
            await self.give(fact, source="registry", workload=NAME)
        await self.work()

    async def canary(self, version: str, incumbent: str) -> None:
        await self.tell(
            ModelApproved(model=model(version), incumbent=model(incumbent), evaluation_id="e")
        )
        assert await self.answers_with() == (version, "canary")

    async def answers_with(self) -> tuple[str, str]:
        cache = RouteCache(self.service.database)
        await cache.refresh()
        batcher = Batcher(EchoEngine(0.1), max_batch=4, max_waiting=4)
        asked = Request(NAME, "r", None, Prompt((("user", "hello"),), 4), None, None)
        said = [item async for item in Generator(batcher, cache.get).answer(MANIFEST, asked)]
        await batcher.stop()
        choice = said[-1][0]
        return choice.model.version, choice.arm

    def ended(self) -> list[tuple[str, str, str]]:
        return [
            (e.candidate.version, e.outcome, e.reason)
            for r in self.log
            if dict(r.headers)["ce_type"] == RolloutFinished.TYPE.encode()
            for e in [RolloutFinished.model_validate_json(r.value)]
        ]


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    url = f"sqlite+aiosqlite:///{tmp_path}/serving.db"
    service = build(Settings(database={"url": url}, serving={"engine": "echo"}))
    jobs = RolloutJobs(EchoEngine(0.1))
    service._jobs[ROLLOUT_JOB]._work = jobs.work
    await service.database.create()
    life = Serving(service, Base.metadata)
    applied = WorkloadApplied(revision=MANIFEST.revision(), manifest=MANIFEST)
    await life.give(applied, source="stack", workload=NAME)
    await life.tell(ModelPromoted(model=model("1"), previous=model("base")))
    yield life
    await service.database.close()


async def test_a_rolled_back_version_answers_again_when_it_is_promoted(serving: Serving) -> None:
    assert await serving.answers_with() == ("1", "production")
    await serving.tell(ModelRolledBack(model=model("1"), restored=model("base"), reason="slow"))
    assert await serving.answers_with() == ("base", "base")
    again = ModelPromoted(model=model("1"), previous=model("base"), reason="it was the disk")
    await serving.tell(again)
    assert await serving.answers_with() == ("1", "production")


async def test_a_canary_ends_with_the_version_that_it_ran_against(serving: Serving) -> None:
    await serving.canary("2", "1")
    lost = "version 1, which its canary ran against, was rolled back"
    await serving.tell(
        ModelRolledBack(model=model("1"), restored=model("base"), reason="slow"),
        ModelRejected(model=model("2"), reason=lost),
    )
    assert await serving.answers_with() == ("base", "base")
    assert serving.ended() == [("2", "failed", lost)]


async def test_a_canary_that_is_promoted_or_retired_by_hand_is_over(serving: Serving) -> None:
    await serving.canary("2", "1")
    await serving.tell(ModelRetired(model=model("2"), reason="trained on what must go"))
    assert await serving.answers_with() == ("1", "production")
    await serving.canary("3", "1")
    await serving.tell(ModelPromoted(model=model("3"), previous=model("1"), reason="needed now"))
    assert await serving.answers_with() == ("3", "production")
    assert serving.ended() == [
        ("2", "failed", "trained on what must go"),
        ("3", "succeeded", "needed now"),
    ]
    states = {row["version"]: row["state"] for row in (await serving.dump())["serving_rollouts"]}
    assert states == {"2": "failed", "3": "succeeded"}
