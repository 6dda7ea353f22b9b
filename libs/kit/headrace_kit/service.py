"""The chassis: wires broker, database, outbox, jobs, telemetry and HTTP into one process."""

import asyncio
import contextlib
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version as package_version
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events import Event, EventData
from headrace_events.jobs import JobFinished, JobQueued
from headrace_events.monitoring import AlertRaised, AlertResolved, ServiceStarted
from headrace_events.workload import WorkloadApplied
from headrace_kit import logs, telemetry
from headrace_kit.background import Background
from headrace_kit.body_limits import BodyLimits
from headrace_kit.broadcast import Heard
from headrace_kit.broker import ControlSubscriber, make_broker
from headrace_kit.consumer import ControlConsumer, Handler
from headrace_kit.database import Database
from headrace_kit.dead_letters import DeadLetters
from headrace_kit.halt import Halt
from headrace_kit.held import Lane
from headrace_kit.hot_path import HotPath
from headrace_kit.http import make_api
from headrace_kit.inbox import forget_old_ids, shortest_memory
from headrace_kit.instance import DeclaredName, unique_name
from headrace_kit.job_log import forget_ended_jobs, replay_finished, replay_queued
from headrace_kit.jobs import Failed, Job, Jobs, Work
from headrace_kit.leases import forget_old_leases, new_owner
from headrace_kit.loop_watch import LoopWatch
from headrace_kit.periodic import Periodic
from headrace_kit.producer import Producer
from headrace_kit.relay import Relay
from headrace_kit.replay import Replayable
from headrace_kit.retries import RetryPolicy
from headrace_kit.settings import ServiceSettings
from headrace_kit.stream import Refuse, StreamHandler
from headrace_kit.unit_of_work import UnitOfWork, UnitsOfWork
from headrace_kit.workloads import Workloads

if TYPE_CHECKING:
    import uvicorn

_LOG = structlog.get_logger(__name__)
_CLEANING_SECONDS = 3600.0
_OLD_LEASE = timedelta(days=1)
_ANNOUNCE_SECONDS = 30.0
_OUTBOX_LOOK_SECONDS = 2.0
_WORKLOADS_LOOK_SECONDS = 1.0  # less than a request waits for a manifest (guardrails: 2 s)
_START_FAILED = 3  # uvicorn's own exit code for it

Hook = Callable[[], Awaitable[object]]


class Service:
    """One process: `on`, `stream`, `jobs`, `every` say what it does, `run` does it."""

    def __init__(
        self, name: str, settings: ServiceSettings, *, tables: MetaData | None = None
    ) -> None:
        self.name = name
        self.settings = settings
        self.version = package_version(f"headrace-{name}")
        self.instance = settings.instance or unique_name(name)
        # Of this start of the process: two replicas may have been given one name.
        self._owner = new_owner(self.instance)
        self.workloads = Workloads()
        self.database = Database(settings.database.url, tables)
        self._name = (
            DeclaredName(self.instance, self._owner, self.database, self._lose_name)
            if settings.instance
            else None
        )
        # A static member comes back under its name; a name for one life has nothing to come back to
        # and would keep its partitions waiting.
        static = settings.kafka.static_membership and settings.instance is not None
        self._kafka = settings.kafka.model_copy(update={"static_membership": static})
        self.broker = make_broker(settings.kafka, self.instance)
        self._producer = Producer(
            settings.kafka.bootstrap_servers, self.instance, settings.kafka.max_record_bytes
        )
        self._relay = Relay(self.database, self._producer.send, self._owner)
        self._units = UnitsOfWork(
            self.database, name, self._relay.wake, settings.kafka.max_record_bytes
        )
        self._dead_letters = DeadLetters(
            name, self._producer.send_raw, settings.kafka.dead_letter_limit, self._tell
        )
        self._group = f"headrace.{name}"
        self._policy = RetryPolicy(
            settings.kafka.retry_backoff_seconds,
            settings.kafka.retry_jitter,
            settings.kafka.max_blocking_seconds,
        )
        self._stopping = asyncio.Event()
        self._halt = Halt(name, self._stopping, self._alert_by_outbox, self._tell)
        self._control = ControlConsumer(self._units, self._dead_letters, self._group, self._policy)
        self._background = Background()
        self._hot_path = HotPath(
            self._group,
            self.instance,
            self._kafka,
            publish=self._producer.publish,
            dead_letters=self._dead_letters,
            policy=self._policy,
            guard=self._halt.guard,
            background=self._background,
        )
        self._jobs: dict[str, Jobs] = {}
        self._loop_watch = LoopWatch()
        self._periodic: dict[str, Periodic] = {}
        self.every(_OUTBOX_LOOK_SECONDS, self._look_at_outbox, name="outbox look")
        # Another replica may have taken a manifest in.
        self.every(_WORKLOADS_LOOK_SECONDS, self._look_at_workloads, name="workloads look")
        self._start_hooks: list[Hook] = []
        self._stop_hooks: list[Hook] = []
        self._replay_handlers: dict[str, list[Handler]] = defaultdict(list)
        self._replayed_hooks: list[Hook] = []
        self._ready_checks: dict[str, Callable[[], bool]] = {}
        self._started = False
        self._outbox_alert = False
        self._lanes: list[Lane] = []
        self._draining = False
        self._http: uvicorn.Server | None = None
        self.body_limits = BodyLimits(settings.http.max_body_bytes)
        self.api: FastAPI = make_api(
            name,
            self.version,
            self.readiness,
            lambda: self.stopping,
            self._lifespan,
            self.details,
            self.body_limits,
        )
        self.on(WorkloadApplied, self.workloads.apply)
        self.replays(JobQueued, replay_queued)
        self.replays(JobFinished, replay_finished)

    # -- what the service does --------------------------------------------------------------

    def on(self, model: type[EventData], handler: Handler) -> None:
        """Handle a control event: inbox, state and outbox in one transaction."""
        self._control.add(model, handler)

    def stream(
        self,
        name: str,
        models: Sequence[type[EventData]],
        handler: StreamHandler,
        *,
        max_records: int = 64,
        in_flight: int | None = None,
        gather_bytes: int = 1,
        keeps_state: bool = False,
        refuse: Refuse | None = None,
    ) -> None:
        """Handle the hot path; returned events are published before the commit.

        Micro-batches of `max_records`, one after another and in order; or, with `in_flight`, each
        record alone and so many at once. Types with a fast lane get a second consumer for it, with
        the same bound of its own: a backlog in one lane takes nothing from the other. Where nobody
        waits for an outcome, `gather_bytes` makes batches larger: the broker holds a fetch back
        until there are so many, a tenth of a second at most. A stream that `keeps_state` writes to
        the database, so a replay hands its events over again. `refuse` makes what is published
        instead of outcomes too large to be events; without it their cause is dead-lettered.
        """
        self._hot_path.stream(
            name,
            models,
            handler,
            max_records=max_records,
            in_flight=in_flight,
            gather_bytes=gather_bytes,
            replay_records=max_records if keeps_state else 0,
            refuse=refuse,
        )

    def broadcast(
        self, models: Sequence[type[EventData]], heard: Heard, *, since_seconds: float = 0.0
    ) -> None:
        """Have every replica hear events, from `since_seconds` before its start on; no effects."""
        self._hot_path.broadcast(models, heard, since_seconds=since_seconds)

    def jobs(
        self,
        kind: str,
        work: Work,
        *,
        failed: Failed | None = None,
        concurrency: int = 1,
        lease_seconds: float = 30.0,
        max_attempts: int = 3,
    ) -> None:
        """Do long work under a lease; `failed` emits the failure event when it is given up."""
        jobs = Jobs(
            kind,
            work,
            failed,
            database=self.database,
            units=self._units,
            owner=self._owner,
            concurrency=concurrency,
            lease_seconds=lease_seconds,
            max_attempts=max_attempts,
        )
        self._jobs[kind] = jobs
        self._units.wake_jobs.append(jobs.wake)

    def every(
        self, seconds: float, tick: Hook, *, name: str | None = None, once: bool = False
    ) -> None:
        """Call `tick` again and again; an error is logged and the next call comes all the same.

        With `once` one replica at a time does it, under a lease; without, each one does. `name`
        names it in logs, metrics and readiness; without one it is the function's.
        """
        known = name or str(getattr(tick, "__qualname__", type(tick).__name__))
        if known in self._periodic:
            raise ValueError(f"there is periodic work called {known} already: name this one")
        self._periodic[known] = Periodic(
            known,
            seconds,
            tick,
            database=self.database,
            reachable=self._units.reachable,
            owner=self._owner if once else None,
        )

    def background(self, name: str, work: Hook, *, endless: bool = True) -> None:
        """Run `work` in a watched task: it begins anew when it dies, and that is told.

        For start hooks and later; it is cancelled at the stop. Work that is not `endless` may end.
        """
        self._background.start(name, work, endless=endless)

    def replays(self, model: type[EventData], handler: Handler) -> None:
        """Say what an event of this service's own means for its state, for a replay only.

        For what no handler decided: the outcome of a job, of periodic work, of an HTTP request.
        """
        self._replay_handlers[model.TYPE].append(handler)

    def on_replayed(self, hook: Hook) -> None:
        """Call `hook` at the end of a replay, for state that is measured rather than told."""
        self._replayed_hooks.append(hook)

    def on_start(self, hook: Hook) -> None:
        """Call `hook` before the first event is taken (the database is there, the producer too)."""
        self._start_hooks.append(hook)

    def on_stop(self, hook: Hook) -> None:
        """Call `hook` after the last event was handled."""
        self._stop_hooks.append(hook)

    def ready_check(self, name: str, check: Callable[[], bool]) -> None:
        """Make /readyz depend on `check`."""
        self._ready_checks[name] = check

    @property
    def hot_path(self) -> HotPath:
        """The streams, and the notices that every replica hears."""
        return self._hot_path

    @property
    def consumed(self) -> list[type[EventData]]:
        """Every event type that the service reads, by whatever way."""
        return list(({m.TYPE: m for m in self._control.models} | self._hot_path.models).values())

    # -- what handlers use ------------------------------------------------------------------

    def reading(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a session for what only reads: it waits for no writer and keeps none waiting."""
        return self.database.reading()

    def unit_of_work(
        self, cause: Event[Any] | None = None, workload: str = ""
    ) -> AbstractAsyncContextManager[UnitOfWork]:
        """Open a unit of work outside an event handler (HTTP, periodic work)."""
        return self._units.begin(cause, workload)

    async def publish(self, *events: Event[Any]) -> None:
        """Publish without the outbox (hot path); returns when the broker has acknowledged."""
        await self._producer.publish(events)

    async def cancel_job(self, kind: str, key: str) -> bool:
        """Ask a job to stop; return whether it was still open."""
        return await self._jobs[kind].cancel(key)

    async def cancel_job_in(self, uow: UnitOfWork, kind: str, key: str) -> bool:
        """Ask a job to stop, in the transaction of a handler; it hears of it at a heartbeat."""
        return await self._jobs[kind].cancel_in(uow.session, key)

    async def get_job(self, kind: str, key: str) -> Job | None:
        """Return a job."""
        return await self._jobs[kind].get(key)

    async def list_jobs(self, kind: str, limit: int = 100) -> list[Job]:
        """Return the newest jobs first."""
        return await self._jobs[kind].list(limit)

    def readiness(self) -> dict[str, bool]:
        """Return each readiness check by name."""
        checks = {name: check() for name, check in self._ready_checks.items()}
        return {
            "started": self._started,
            "accepting": not self.stopping,
            "consuming": not self._halt.halted,
            **{f"lane {lane.name}": lane.is_going for lane in self._lanes},
            "database": not self._control.database_away,
            "event loop": self._loop_watch.well(),
            "instance": self._name is None or self._name.held or not self._started,
            **checks,
            **dict.fromkeys((f"background {name}" for name in self._failing()), False),
        }

    def details(self) -> dict[str, Any]:
        """Return what /readyz tells beside its checks."""
        lag = round(self._relay.lag_seconds(), 1)
        told: dict[str, Any] = {
            "outbox": {
                "rows": self._relay.waiting,
                "oldest_seconds": lag,
                "refused": self._relay.refused,
            },
            "event_loop": {"lag_seconds": round(self._loop_watch.worst(), 3)},
        }
        if failing := self._failing():
            told["background"] = failing
        return told

    def _failing(self) -> dict[str, str]:
        """Background work that fails again and again, by name, with the last error's class."""
        periodic = {name: work.failing() for name, work in self._periodic.items()}
        return self._background.failing() | {
            name: error for name, error in periodic.items() if error
        }

    @property
    def replayable(self) -> Replayable:
        """What `headrace replay` works with."""
        streams = [stream for stream in self._hot_path.streams if stream.replay_records]
        return Replayable(
            self._units, self._control, streams, self._replay_handlers, self._replayed_hooks
        )

    # -- life -------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until SIGTERM or SIGINT: HTTP and Kafka in one event loop."""
        import uvicorn

        from headrace_kit.server import DrainingServer

        logs.configure(self.name, self.settings.telemetry.log_level)
        http = self.settings.http
        config = uvicorn.Config(
            self.api,
            host=http.host,
            port=http.port,
            loop="asyncio",  # docs/adr/0013: aiokafka does not survive a lost connection on uvloop
            log_config=None,
            access_log=False,
            ws="none",  # nobody speaks it here: an upgrade is answered as the request that it is
            timeout_graceful_shutdown=http.drain_seconds,
        )
        self._http = DrainingServer(
            config, begin_drain=self._begin_drain, grace_seconds=http.grace_seconds
        )
        with contextlib.suppress(KeyboardInterrupt):
            self._http.run()
        if not self._http.started:
            raise SystemExit(_START_FAILED)

    @property
    def stopping(self) -> bool:
        """Whether the process was asked to stop: an answer without an end must end now."""
        return self._draining or self._stopping.is_set()

    def _begin_drain(self) -> None:
        """Take no more work, finish what is under way: the consumers do not wait for HTTP."""
        if not self._draining:
            self._draining = True
            self._stopping.set()
            self._background.start("drain", self._hot_path.drain, endless=False)
            _LOG.info("draining", instance=self.instance)

    @asynccontextmanager
    async def _lifespan(self, _api: FastAPI) -> AsyncIterator[None]:
        async with self.running():
            yield

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Service"]:
        """Start everything but HTTP; stop it in the reverse order at the end."""
        provider = telemetry.configure(self.name, self.version, self.settings.telemetry)
        self._check_memory()
        await self.database.create()
        if self._name:
            await self._name.take()
            self._background.start("instance", self._name.keep)
        await self.workloads.load(self.database)
        # There was an alert for these; it ends when they are published.
        self._outbox_alert = await self._relay.try_refused_again() > 0
        await self._producer.start()
        self._background.start("announce", self._announce, endless=False)
        control = self._subscribe()
        for hook in self._start_hooks:
            await hook()
        self._lanes = [control.lane, *self._hot_path.lanes]
        self._begin_background()
        await asyncio.gather(self.broker.start(), self._hot_path.start())
        for broadcast in self._hot_path.broadcasts:
            self._background.start(f"broadcast {','.join(broadcast.topics)}", broadcast.run)
        watching = self._background.start("watch", control.watch)
        self._started = True
        _LOG.info("ready", instance=self.instance, version=self.version)
        try:
            yield self
        finally:
            self._started = False
            self._stopping.set()
            watching.cancel()
            control.lane.end()
            # Consumers first: what they are handling is finished and committed.
            await asyncio.gather(self.broker.stop(), self._hot_path.stop(), return_exceptions=True)
            await self._background.stop()
            await self._hot_path.stop_hearing()
            await self._hand_over()
            for hook in reversed(self._stop_hooks):
                await hook()
            await self._producer.stop()
            await self.database.close()
            if provider:
                await asyncio.to_thread(provider.shutdown)
            _LOG.info("stopped")

    def _begin_background(self) -> None:
        self._background.start("event loop", self._loop_watch.run)
        self._background.start("relay", self._relay.run)
        for kind, jobs in self._jobs.items():
            self._background.start(f"jobs {kind}", jobs.run)
        for name, periodic in self._periodic.items():
            self._background.start(name, periodic.run)
        self._background.start("cleaning", self._clean)

    async def _hand_over(self) -> None:
        """Publish what can be published now, and give back what another replica waits for."""
        with contextlib.suppress(Exception):  # the rest is published after the restart
            await asyncio.wait_for(self._relay.publish_batch(), 5)
        with contextlib.suppress(Exception):  # what is not given back runs out
            await self._relay.release()
            for periodic in self._periodic.values():
                await periodic.release()
            if self._name:
                await self._name.release()

    def _subscribe(self) -> ControlSubscriber:
        kafka = self._kafka
        return ControlSubscriber(
            self.broker,
            self._control.topics,
            self._halt.guard(self._control.consume),
            group=self._group,
            instance=self.instance,
            settings=kafka,
        )

    async def _alert_by_outbox(self, alert: AlertRaised) -> None:
        async with self.unit_of_work() as uow:
            uow.emit(alert, workload="headrace")

    async def _tell(self, fact: EventData) -> None:
        """Publish what concerns no workload, without the database: that may be what is away."""
        await self.publish(Event[Any].new(fact, source=self.name, workload="headrace"))

    async def _announce(self) -> None:
        """Say that this process began, once: who counts them sees a crash loop in any deployment.

        Nothing depends on it, so it is not tried again where the broker does not take it.
        """
        fact = ServiceStarted(
            service=self.name,
            instance=self.instance,
            declared=self.settings.instance is not None,
            version=self.version,
        )
        try:
            async with asyncio.timeout(_ANNOUNCE_SECONDS):
                await self._tell(fact)
        except Exception as error:  # noqa: BLE001 - a start must not fail for want of its notice
            _LOG.warning("the start was not announced", error=type(error).__name__)

    def _lose_name(self) -> None:
        """Stop: the process that has the name now would be fenced by this one, and fence it."""
        if self._http:
            self._http.handle_exit(signal.SIGTERM, None)

    def _check_memory(self) -> None:
        keep = timedelta(days=self.settings.database.inbox_days)
        if keep < shortest_memory():
            raise ValueError(
                f"HEADRACE_DATABASE__INBOX_DAYS is {keep.days}, and a topic and its dead letters "
                f"may give an event back for {shortest_memory().days} days: set at least as many"
            )
        if self.settings.database.jobs_days < self.settings.database.inbox_days:
            raise ValueError(
                "HEADRACE_DATABASE__JOBS_DAYS is less than HEADRACE_DATABASE__INBOX_DAYS: an event "
                "that comes again would enqueue its job again"
            )

    async def _clean(self) -> None:
        while True:  # at start first: a service may never live for an hour
            await forget_old_ids(self.database, timedelta(days=self.settings.database.inbox_days))
            await forget_ended_jobs(self.database, timedelta(days=self.settings.database.jobs_days))
            await forget_old_leases(self.database, _OLD_LEASE)
            await asyncio.sleep(_CLEANING_SECONDS)

    async def _look_at_outbox(self) -> None:
        await self._relay.look()
        refused = self._relay.refused
        if bool(refused) == self._outbox_alert:
            return
        name = f"outbox-refused/{self.name}"
        what = f"the broker will never take {refused} events of {self.name}; its log says why"
        async with self.unit_of_work(workload="headrace") as uow:
            if refused:
                uow.emit(
                    AlertRaised(
                        name=name,
                        severity="critical",
                        summary=what,
                        next_step="Raise the limit of the topic that the log names, then restart "
                        f"{self.name}: it sends them again.",
                    )
                )
            else:
                uow.emit(AlertResolved(name=name))
        self._outbox_alert = bool(refused)

    async def _look_at_workloads(self) -> None:
        await self.workloads.refresh(self.database)
