"""The leased job that loads a candidate on the replica and then starts its canary."""

import asyncio
import time

from headrace_events.references import ModelRef
from headrace_kit import Job, JobContext, JobRejected, UnitOfWork
from headrace_serving.adapters import routes
from headrace_serving.core import routing
from headrace_serving.core.generation import AdapterRefused, Engine, EngineUnavailable
from headrace_serving.core.prompting import adapter_of
from headrace_serving.events import save

_PATIENCE_SECONDS = 600.0
_RETRY_SECONDS = 2.0


class RolloutJobs:
    """Work and failure of the job."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def work(self, context: JobContext) -> None:
        """Load, verify and start; a candidate that is refused never gets a request."""
        model = ModelRef.model_validate(context.job.payload["model"])
        await self._load(model)
        async with context.finish() as uow:
            before = await routes.read(uow.session, context.job.workload)
            after, facts = routing.start(before, context.job.key)
            await save(uow, before, after, facts)

    async def failed(self, job: Job, reason: str, uow: UnitOfWork) -> None:
        """End the canary before it began."""
        before = await routes.read(uow.session, job.workload)
        after, facts = routing.fail(before, job.key, reason)
        await save(uow, before, after, facts, reason)

    async def _load(self, model: ModelRef) -> None:
        adapter = adapter_of(model)
        if adapter is None:
            return
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                await self._engine.load(model.base, adapter)
                return
            except AdapterRefused as error:
                raise JobRejected(str(error)) from None
            except EngineUnavailable:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
