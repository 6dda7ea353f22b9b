"""HTTP: fine-tuning jobs in OpenAI's shape."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import select

from headrace_events import new_id
from headrace_events.text import Text
from headrace_kit import Job, Service
from headrace_kit.problems import problem
from headrace_trainer.adapters.tables import ResultRow
from headrace_trainer.core.specification import Order
from headrace_trainer.events import JOB, enqueue, newest_dataset
from headrace_trainer.jobs import TrainingJobs

_STATUS = {
    "queued": "queued",
    "running": "running",
    "done": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
_PAGE = 100


class CreateJob(BaseModel):
    """`model` is a workload: base, recipe and data are its manifest's."""

    model: Annotated[Text, Field(max_length=200)]


def router(service: Service, jobs: TrainingJobs) -> APIRouter:
    """Return the routes."""
    api = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"])

    @api.post("", response_model=None)
    async def create(body: CreateJob) -> dict[str, Any] | Response:
        """Train a workload on its newest dataset version."""
        manifest = service.workloads.get(body.model)
        if manifest is None:
            known = ", ".join(m.metadata.name for m in service.workloads.all()) or "none yet"
            return _problem(404, f"no workload `{body.model}`; workloads: {known}", "model")
        identity = f"ftjob-{new_id()}"
        async with service.unit_of_work(workload=body.model) as uow:
            dataset = await newest_dataset(uow, body.model)
            if dataset is None:
                return _problem(
                    409, f"`{body.model}` has no dataset version yet: land records first", "model"
                )
            await enqueue(uow, manifest, body.model, dataset, identity)
        return await _shown(identity)

    @api.get("")
    async def listing(limit: Annotated[int, Query(ge=1)] = 20) -> dict[str, Any]:
        """List jobs, the newest first."""
        found = await service.list_jobs(JOB, min(limit, _PAGE))
        return {"object": "list", "data": [await _describe(job) for job in found]}

    @api.get("/{job_id}", response_model=None)
    async def get(job_id: str) -> dict[str, Any] | Response:
        """Return one job."""
        job = await service.get_job(JOB, job_id)
        return await _describe(job) if job else _unknown(job_id)

    @api.post("/{job_id}/cancel", response_model=None)
    async def cancel(job_id: str) -> dict[str, Any] | Response:
        """Stop a job that is waiting or running."""
        if await service.get_job(JOB, job_id) is None:
            return _unknown(job_id)
        await service.cancel_job(JOB, job_id)
        return await _shown(job_id)

    async def _shown(job_id: str) -> dict[str, Any]:
        job = await service.get_job(JOB, job_id)
        return await _describe(job) if job else {}

    async def _describe(job: Job) -> dict[str, Any]:
        order = Order.model_validate(job.payload)
        recipe = order.specification
        async with service.reading() as session:
            result = await session.scalar(select(ResultRow).where(ResultRow.job_id == job.key))
        progress = jobs.progress.get(job.key)
        return {
            "id": job.key,
            "object": "fine_tuning.job",
            "model": recipe.base if recipe else None,
            "workload": job.workload,
            "created_at": int(job.created_at.timestamp()),
            "finished_at": int(job.finished_at.timestamp()) if job.finished_at else None,
            "status": _STATUS.get(job.state, job.state),
            "fine_tuned_model": job.workload if result else None,
            "trained_tokens": result.tokens if result else None,
            "training_file": order.dataset.table.uri,
            "dataset_version": order.dataset.version,
            "hyperparameters": recipe.train.model_dump() if recipe else None,
            "seed": recipe.train.seed if recipe else None,
            "attempt": job.attempt,
            "progress": progress.model_dump() if progress else None,
            "result": (
                {
                    "run_id": result.run_id,
                    "artefact": result.artefact,
                    "steps": result.steps,
                    "planned_steps": result.planned_steps,
                    "seconds": result.seconds,
                    "loss": result.loss,
                }
                if result
                else None
            ),
            "error": {"message": job.reason} if job.state in ("failed", "cancelled") else None,
        }

    return api


def _unknown(job_id: str) -> Response:
    return _problem(404, f"no fine-tuning job `{job_id}`", "job_id")


def _problem(status: int, message: str, param: str) -> Response:
    return problem(status, message, param=param)
