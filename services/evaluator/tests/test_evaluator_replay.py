"""The evaluator's state made again from the log is what it was; scores are a cache and are not."""

from pathlib import Path

from headrace_evaluator.adapters.tables import Base
from headrace_evaluator.app import build
from headrace_evaluator.core.evaluate import ScoringRefused
from headrace_evaluator.core.scores import RowScore, Scored, ScoringRequest, model_key
from headrace_evaluator.settings import Settings
from headrace_events.evaluation import EvaluationRequested
from headrace_events.models import ModelRegistered
from headrace_events.references import ArtefactRef, DatasetRef, ModelRef, TableRef
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Service
from headrace_kit.testing_replay import Life, rows_in

NAME = "support"


class FixedScores:
    """Scores that hang on the model alone; a version called `3` cannot be scored."""

    async def score(self, request: ScoringRequest) -> Scored:
        if any(model.version == "3" for model in request.models):
            raise ScoringRefused("the holdout is empty")
        return Scored(
            {
                model_key(model, request.asking): {
                    f"row{n}": RowScore(0.0, 0.1 * n + (0.2 if model.artefact else 0.0), 5.0 + n, 4)
                    for n in range(8)
                }
                for model in request.models
            }
        )


def model(version: str) -> ModelRef:
    artefact = ArtefactRef(uri=f"file:///{version}", digest=version * 64, size_bytes=9)
    return ModelRef(
        name=NAME, version=version, base="smol", artefact=None if version == "base" else artefact
    )


def dataset(version: int) -> DatasetRef:
    table = TableRef(uri="file:///d", version=version)
    return DatasetRef(version=version, table=table, digest="d", train_rows=9, holdout_rows=8)


def make(url: str, storage: Path) -> Service:
    settings = Settings(database={"url": url}, storage={"root": str(storage)})
    return build(settings, scorer=FixedScores())


async def test_replay_makes_the_same_evaluations(database_url: str, tmp_path: Path) -> None:
    life = Life(make(database_url, tmp_path / "storage"), Base.metadata)
    await life.service.database.create()
    manifest = Manifest.model_validate(
        {"apiVersion": "headrace/v1", "kind": "Workload", "metadata": {"name": NAME}}
    )
    applied = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
    await life.give(applied, source="stack", workload=NAME)
    for version in ("1", "2", "3"):
        registered = ModelRegistered(
            model=model(version),
            incumbent=model("base"),
            dataset=dataset(int(version)),
            run_id="r",
            metrics={},
        )
        await life.give(registered, source="registry", workload=NAME)
        await life.work()
    again = EvaluationRequested(model=model("2"), incumbent=model("1"), dataset=dataset(2))
    await life.give(again, source="registry", workload=NAME)
    before = await life.dump()
    assert [row["state"] for row in before["evaluations"]].count("completed") == 2
    assert {row["state"] for row in before["evaluations"]} == {"completed", "failed", "queued"}
    assert min(rows_in(before, "scores", "kit_jobs", "kit_inbox")) > 0

    after, report, fresh = await life.replayed(
        lambda: make(f"sqlite+aiosqlite:///{tmp_path}/r.db", tmp_path / "storage")
    )
    assert after.pop("scores") == [] != before.pop("scores")
    assert after == before
    assert (report.failed, report.unpublished, report.open_jobs) == ([], 0, 1)

    # The job that had no end in the log runs now, and nothing else does.
    rest = Life(fresh, Base.metadata)
    await rest.work()
    types = [dict(r.headers)["ce_type"].decode() for r in rest.log]
    assert types == ["evaluation.completed.v1", "job.finished.v1"]
    await fresh.database.close()
    await life.service.database.close()
