"""The engine on Ray Serve: one application per base, which outlives this process.

The replicas hang on the cluster's Ray head. A restarted service finds them by their name and goes
on; only when they are not there (the head is new) are they deployed.
"""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Any

import structlog

from headrace_kit.ray_driver import job_config
from headrace_serving.core.generation import (
    Adapter,
    AdapterRefused,
    EngineError,
    EngineUnavailable,
    GenerationFailed,
    Piece,
    Prompt,
)
from headrace_serving.settings import Replicas

_LOG = structlog.get_logger(__name__)
_NAMESPACE = "headrace"
# Raise it when the replica's methods change: an application of another release is left alone.
_PROTOCOL = 1
_RETRY_SECONDS = 3.0
_PING_SECONDS = 20.0
_MISSED_PINGS = 3
_WARM_UP = Prompt(messages=(("user", "Hello"),), max_tokens=2)


class RayEngine:
    """Connects to the Ray head, deploys what is missing and hands batches over."""

    def __init__(self, address: str, settings: Replicas) -> None:
        self._address = address
        self._settings = settings
        self._handles: dict[str, Any] = {}
        self._deploying: dict[str, asyncio.Lock] = {}
        self._missed = 0
        self.ready = False

    async def start(self, base: str) -> None:
        """Have `base` answer; try for ever, as the Ray head may come later than this service."""
        while not self.ready:
            try:
                await asyncio.to_thread(self._connect)
                async for _ in self.generate(base, None, [_WARM_UP]):
                    pass
                self.ready = True
                _LOG.info("engine ready", base=base, ray=self._address)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the next try may succeed
                _LOG.warning("engine not ready", error=type(error).__name__, ray=self._address)
                await asyncio.sleep(_RETRY_SECONDS)

    async def check(self, base: str) -> None:
        """Notice a lost Ray head: end this process, so that it is started anew.

        Ray's client keeps much state of the cluster in the process; a fresh one is the only
        reconnection that is known to work. Nothing is lost: offsets move only after outcomes.
        """
        if not self.ready:
            return
        try:
            handle = await self._handle(base)
            await asyncio.wait_for(handle.ping.remote(), _PING_SECONDS)
            self._missed = 0
        except Exception as error:  # noqa: BLE001 - any failure is a missed ping
            self._missed += 1
            _LOG.warning("engine does not answer", error=type(error).__name__, times=self._missed)
            self._handles.pop(base, None)
            if self._missed >= _MISSED_PINGS:
                _LOG.critical("engine lost: stopping, to be started again", ray=self._address)
                self.ready = False
                signal.raise_signal(signal.SIGTERM)

    async def stop(self) -> None:
        """Disconnect; the replicas stay."""
        await asyncio.to_thread(_disconnect)

    async def load(self, base: str, adapter: Adapter) -> None:
        """Have an adapter ready; raise AdapterRefused when it cannot be."""
        handle = await self._handle(base)
        try:
            await handle.load.remote(adapter)
        except Exception as error:  # noqa: BLE001 - Ray wraps whatever the replica raised
            raise self._translated(base, error) from None

    async def generate(
        self, base: str, adapter: Adapter | None, batch: Sequence[Prompt]
    ) -> AsyncIterator[Sequence[Piece]]:
        """Answer a batch; pieces come as they are made."""
        handle = await self._handle(base)
        response = handle.options(stream=True).generate.remote(adapter, list(batch))
        try:
            async for pieces in response:
                yield pieces
        except (asyncio.CancelledError, GeneratorExit):
            response.cancel()  # nobody waits for any row: the replica stops as well
            raise
        except Exception as error:  # noqa: BLE001 - Ray wraps whatever the replica raised
            raise self._translated(base, error) from None

    def _translated(self, base: str, error: Exception) -> EngineError:
        """Ray's error as ours. Its own text is a remote traceback: not for users or logs."""
        from ray.exceptions import RayError, RayTaskError

        cause = getattr(error, "cause", None)
        for found in (error, cause):
            if isinstance(found, AdapterRefused):
                return AdapterRefused(str(cause or error))
        name = type(cause or error).__name__
        # The replica lives and raised: what Ray raises itself, or memory, is no version's fault.
        own = isinstance(error, RayTaskError) and not isinstance(cause, RayError | MemoryError)
        if own and "OutOfMemory" not in name:
            return GenerationFailed(f"the model failed ({name})")
        self._handles.pop(base, None)
        return EngineUnavailable(f"the engine failed ({name})")

    async def _handle(self, base: str) -> Any:
        handle = self._handles.get(base)
        if handle is not None:
            return handle
        async with self._deploying.setdefault(base, asyncio.Lock()):
            if base not in self._handles:
                try:
                    self._handles[base] = await asyncio.to_thread(self._find_or_deploy, base)
                except Exception as error:  # noqa: BLE001 - Ray raises many kinds when it is away
                    raise EngineUnavailable(
                        f"no replica for base {base} ({type(error).__name__})"
                    ) from None
            return self._handles[base]

    def _connect(self) -> None:
        import ray
        from ray import serve

        if not ray.is_initialized():
            ray.init(
                address=self._address,
                namespace=_NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
                job_config=job_config(),
            )
        # Ray Serve's own HTTP proxy is slow and not needed: HTTP enters at this service.
        serve.start(proxy_location="Disabled")

    def _find_or_deploy(self, base: str) -> Any:
        from ray import serve

        self._connect()
        name = application_name(base)
        found = serve.status().applications.get(name)
        if found is not None and str(found.status.value) == "RUNNING":
            return serve.get_app_handle(name)
        from headrace_serving.adapters.replica import Replica

        _LOG.info("deploying", application=name, base=base)
        deployment: Any = serve.deployment(
            Replica,
            name="model",
            num_replicas=self._settings.count,
            max_ongoing_requests=self._settings.max_ongoing,
            ray_actor_options={
                "num_cpus": self._settings.num_cpus,
                "num_gpus": self._settings.num_gpus,
            },
            health_check_timeout_s=120,  # a long batch may keep the interpreter's lock for long
            graceful_shutdown_timeout_s=5,
        )
        application = deployment.bind(base, self._settings.threads, self._settings.max_adapters)
        return serve.run(application, name=name, route_prefix=None)


def application_name(base: str) -> str:
    """Name of the Serve application for a base: a readable slug, and its hash to tell apart."""
    import hashlib

    slug = re.sub(r"[^a-z0-9]+", "-", base.lower()).strip("-")[-40:]
    return f"headrace-{_PROTOCOL}-{slug}-{hashlib.sha256(base.encode()).hexdigest()[:8]}"


def _disconnect() -> None:
    import ray

    if ray.is_initialized():
        ray.shutdown()
