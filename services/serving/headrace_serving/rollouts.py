"""Candidates that cannot be loaded: before their canary by its leased job, or while it runs."""

import asyncio
import time

import structlog

from headrace_events.references import ModelRef
from headrace_kit import Job, JobContext, JobRejected, Service, UnitOfWork
from headrace_serving.adapters import routes
from headrace_serving.adapters.routes import RouteCache
from headrace_serving.core import routing
from headrace_serving.core.generation import AdapterRefused, Engine, EngineUnavailable
from headrace_serving.core.prompting import adapter_of
from headrace_serving.core.routing import Choice
from headrace_serving.events import save

_LOG = structlog.get_logger(__name__)
_PATIENCE_SECONDS = 600.0
_RETRY_SECONDS = 2.0
# A request waits for it; when the database is slower than this, the next request tries again.
_ENDING_SECONDS = 5.0


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


class RefusedCanaries:
    """Ends a canary whose adapter is refused while it runs, e.g. by a new replica.

    Its requests are answered by the incumbent, so the monitor would never have enough of the
    candidate's own to judge it: that it cannot be loaded is its fault, and the verdict.
    """

    def __init__(self, service: Service, cache: RouteCache) -> None:
        self._service = service
        self._cache = cache
        self._lock = asyncio.Lock()

    async def __call__(self, workload: str, choice: Choice, reason: str) -> None:
        """End it, once; what goes wrong here is no fault of the request that found it."""
        try:
            async with asyncio.timeout(_ENDING_SECONDS), self._lock:
                await self._end(workload, choice.model.version, reason)
        except Exception as error:  # noqa: BLE001 - the next request tries again
            _LOG.warning("a refused canary goes on", workload=workload, error=type(error).__name__)

    async def _end(self, workload: str, version: str, reason: str) -> None:
        canary = self._cache.get(workload).canary
        if canary is None or canary.state != "running" or canary.candidate.version != version:
            return
        async with self._service.unit_of_work(workload=workload) as uow:
            before = await routes.read(uow.session, workload)
            after, facts = routing.fail(before, canary.rollout_id, reason)
            for fact in facts:
                # No event is this moment's; a replay finds it in the log.
                at = uow.emit(fact, workload=workload).time
                await routes.write(uow.session, before, after, at, reason)
        await self._cache.refresh()
        _LOG.warning("canary ended: its adapter is refused", workload=workload, version=version)
