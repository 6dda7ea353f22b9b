"""Wires serving: engine, routes, both ways in."""

from headrace_events.inference import InferenceAdmitted, InferenceCancelRequested
from headrace_kit import Service
from headrace_kit.too_large import too_large
from headrace_serving.adapters.echo_engine import EchoEngine
from headrace_serving.adapters.engine import RayEngine
from headrace_serving.adapters.guard import GuardClient
from headrace_serving.adapters.routes import RouteCache
from headrace_serving.adapters.tables import Base
from headrace_serving.adapters.versions import Pins
from headrace_serving.api import answer_errors, router
from headrace_serving.chat import Chat
from headrace_serving.core.batching import Batcher
from headrace_serving.core.cancellation import REMEMBER_SECONDS, Cancellations
from headrace_serving.core.generation import ManagedEngine
from headrace_serving.events import ROLLOUT_JOB, register
from headrace_serving.generating import Generator
from headrace_serving.inference import AdmittedHandler
from headrace_serving.metrics import BATCH_ROWS, IN_FLIGHT
from headrace_serving.outcomes import Outcomes
from headrace_serving.rollouts import RefusedCanaries, RolloutJobs
from headrace_serving.settings import Settings

_REFRESH_SECONDS = 0.5  # routes move a few times in a rollout; one small read is nothing
_CHECK_SECONDS = 10.0


def build(settings: Settings | None = None) -> Service:
    """Build the service; nothing runs yet."""
    settings = settings or Settings()
    replicas = settings.replicas
    service = Service("serving", settings, tables=Base.metadata)
    cache = RouteCache(service.database)
    engine = _engine(settings, cache)
    batcher = Batcher(
        engine,
        max_batch=replicas.max_batch,
        max_waiting=replicas.max_waiting,
        observe=lambda base, _version, rows: BATCH_ROWS.labels(base).observe(rows),
    )
    IN_FLIGHT.set_function(lambda: batcher.in_flight)
    generator = Generator(batcher, cache.get, RefusedCanaries(service, cache))
    guard = GuardClient(settings.guardrails.url, settings.guardrails.timeout_seconds)
    outcomes = Outcomes(service.publish)
    pins = Pins(service.database, cache)
    chat = Chat(
        generator, guard, outcomes, replicas.max_per_workload, pins, lambda: service.stopping
    )

    register(service)
    rollouts = RolloutJobs(engine)
    service.jobs(ROLLOUT_JOB, rollouts.work, failed=rollouts.failed, lease_seconds=30)
    admitted = AdmittedHandler(
        generator,
        Cancellations(),
        service.workloads.get,
        service.publish,
        replicas.patience_seconds,
        pins,
    )
    service.stream(
        "inference",
        [InferenceAdmitted],
        admitted,
        max_records=replicas.max_batch,
        in_flight=replicas.max_in_flight,
        refuse=too_large("serving", "serving"),
    )
    service.broadcast(
        [InferenceCancelRequested], admitted.on_cancel, since_seconds=REMEMBER_SECONDS
    )
    service.every(_REFRESH_SECONDS, cache.refresh, name="routes")
    service.every(_CHECK_SECONDS, lambda: engine.check(replicas.default_base), name="engine check")
    service.ready_check("model", lambda: engine.ready)
    service.api.include_router(router(service, chat, cache, replicas.patience_seconds))
    answer_errors(service.api)
    # Messages become part of one event, with the answer beside them: more could not be told.
    limit = settings.kafka.max_record_bytes * 9 // 10
    for path in ("/v1/chat/completions", "/v1/completions"):
        service.body_limits.allow(path, limit)

    async def start() -> None:
        await cache.refresh()
        # In the background: the replica takes its time, /healthz and the routes need not wait.
        service.background("engine", lambda: engine.start(replicas.default_base), endless=False)

    async def stop() -> None:
        await outcomes.stop()
        await batcher.stop()
        await guard.close()
        await engine.stop()

    service.on_start(start)
    service.on_stop(stop)
    return service


def _engine(settings: Settings, cache: RouteCache) -> ManagedEngine:
    if settings.serving.engine == "echo":
        return EchoEngine(settings.serving.echo_ms)
    return RayEngine(settings.ray.address, settings.replicas, cache.adapters)
