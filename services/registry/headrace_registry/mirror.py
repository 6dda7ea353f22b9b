"""The job that makes MLflow's registry show what the database says."""

from headrace_events.evaluation import EvaluationCompleted
from headrace_kit import Job, JobContext, Service, UnitOfWork
from headrace_registry.adapters import versions
from headrace_registry.adapters.mlflow_registry import MlflowRegistry, VersionView
from headrace_registry.adapters.tables import VersionRow

JOB = "mirror"
# MLflow's tags end at 5,000 characters.
_TAG_CHARS = 2000


async def mirror_later(uow: UnitOfWork, name: str, event_id: str) -> None:
    """Write down that MLflow has to catch up on a workload."""
    await uow.enqueue(JOB, event_id, {"name": name}, workload=name)


class MirrorJob:
    """Mirrors one workload's line; always the newest state, so jobs may come in any order."""

    def __init__(self, service: Service, registry: MlflowRegistry) -> None:
        self._service = service
        self._registry = registry

    async def work(self, ctx: JobContext) -> None:
        """Mirror until what was written is what is true: another replica may write as well."""
        name = ctx.job.payload["name"]
        written = None
        while (current := await self._read(name)) != written:
            aliases, views = current
            await self._registry.mirror(name, aliases, views)
            written = current
        async with ctx.finish():
            pass

    async def failed(self, job: Job, reason: str, uow: UnitOfWork) -> None:
        """Nothing: the next change of the line mirrors all of it."""

    async def _read(self, name: str) -> tuple[dict[str, str], list[VersionView]]:
        async with self._service.reading() as session:
            found = await versions.rows(session, name)
        return versions.line(name, found).aliases(), [_view(row) for row in found]


def _view(row: VersionRow) -> VersionView:
    tags = {"headrace.state": row.state, "headrace.reason": row.reason[:_TAG_CHARS]}
    metrics: dict[str, float] = {}
    if row.evaluation:
        done = EvaluationCompleted.model_validate(row.evaluation)
        tags["headrace.evaluation_id"] = done.evaluation_id
        tags["headrace.incumbent"] = done.incumbent.version
        for found in done.metrics:
            metrics[f"evaluation.{found.metric}"] = found.candidate
            metrics[f"evaluation.{found.metric}.incumbent"] = found.incumbent
            metrics[f"evaluation.{found.metric}.difference"] = found.difference
            metrics[f"evaluation.{found.metric}.low"] = found.low
            metrics[f"evaluation.{found.metric}.high"] = found.high
    return VersionView(row.version, tags, row.run_id, metrics, row.evaluated_at)
