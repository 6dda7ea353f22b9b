"""The engine on Ray Serve: one application per base, which outlives this process.

The replicas hang on the cluster's Ray head. A restarted service finds them and goes on at once. If
they are of another release or other settings, its own are deployed beside them, are warmed, and
take over; the old ones answer until then and are deleted afterwards.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog

from headrace_serving.adapters.applications import Applications
from headrace_serving.core.generation import (
    Adapter,
    AdapterRefused,
    EngineError,
    EngineUnavailable,
    GenerationFailed,
    Piece,
    Prompt,
)
from headrace_serving.core.takeover import FAILED, RUNNING, current, superseded
from headrace_serving.settings import Replicas

_LOG = structlog.get_logger(__name__)
_RETRY_SECONDS = 3.0
_POLL_SECONDS = 1.0
_TAKEOVER_RETRY_SECONDS = 60.0
# After so long without room or without a model the log says what may be done.
_SLOW_SECONDS = 120.0
# Every replica of this service looks each ten seconds which application is asked.
_SUPERSEDED_SECONDS = 30.0
_PING_SECONDS = 20.0
_MISSED_PINGS = 3
_WARM_UP = Prompt(messages=(("user", "Hello"),), max_tokens=2)


class RayEngine:
    """Connects to the Ray head, deploys what is missing and hands batches over."""

    def __init__(
        self,
        address: str,
        settings: Replicas,
        in_use: Callable[[str], Sequence[Adapter]] = lambda _base: (),
    ) -> None:
        """`in_use`: the adapters of a base that answer now; new replicas load them first."""
        self._address = address
        self._settings = settings
        self._in_use = in_use
        self._applications = Applications(address, settings)
        self._handles: dict[str, Any] = {}
        self._asked: dict[str, tuple[str, float]] = {}
        """Base -> the application that is asked, and since when (monotonic seconds)."""
        self._deploying: dict[str, asyncio.Lock] = {}
        self._takeovers: dict[str, asyncio.Task[None]] = {}
        self._missed = 0
        self.ready = False

    async def start(self, base: str) -> None:
        """Have `base` answer; try for ever, as the Ray head may come later than this service."""
        while not self.ready:
            try:
                await asyncio.to_thread(self._applications.connect)
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
            return
        try:
            await self._follow()
        except Exception as error:  # noqa: BLE001 - the model answers; the controller comes back
            _LOG.warning("Ray Serve tells no state", error=type(error).__name__)

    async def stop(self) -> None:
        """Disconnect; the replicas stay."""
        for task in self._takeovers.values():
            task.cancel()
        await asyncio.gather(*self._takeovers.values(), return_exceptions=True)
        await asyncio.to_thread(self._applications.disconnect)

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
                    await self._find_or_deploy(base)
                except Exception as error:  # noqa: BLE001 - Ray raises many kinds when it is away
                    raise EngineUnavailable(
                        f"no replica for base {base} ({type(error).__name__})"
                    ) from None
            return self._handles[base]

    async def _find_or_deploy(self, base: str) -> None:
        """Ask what runs; have the wanted application take over, once in this process's life."""
        wanted = self._applications.wanted(base)
        found = await asyncio.to_thread(self._applications.of_base, base)
        asked = current(found, base)
        if asked is not None and asked.name != wanted and base not in self._takeovers:
            if self._settings.side_by_side:
                task = asyncio.create_task(self._take_over(base), name=f"take over {base}")
                self._takeovers[base] = task
            else:
                await self._end([one.name for one in found])
                asked = None
        if asked is None:
            await self._deploy(base)
        await self._ask(base, asked.name if asked else wanted)

    async def _take_over(self, base: str) -> None:
        """Deploy the wanted application beside the one that is asked, warm it and ask it."""
        while True:
            try:
                await self._deploy(base)
                await self._warm(base)
                await self._ask(base, self._applications.wanted(base))
                return
            except Exception as error:  # noqa: BLE001 - the old one answers; try again
                _LOG.error("new replicas do not take over", base=base, error=type(error).__name__)
                await asyncio.sleep(_TAKEOVER_RETRY_SECONDS)

    async def _deploy(self, base: str) -> None:
        """Return when the wanted application runs; raise EngineUnavailable when it cannot."""
        name = self._applications.wanted(base)
        _LOG.info("deploying", application=name, base=base)
        await asyncio.to_thread(self._applications.deploy, base)
        slow_from = time.monotonic() + _SLOW_SECONDS
        while True:
            found = await asyncio.to_thread(self._applications.of_base, base)
            status = next((one.status for one in found if one.name == name), "")
            if status == RUNNING:
                return
            if status in FAILED:
                await self._end([name])
                raise EngineUnavailable(f"the application does not run ({status})")
            if time.monotonic() > slow_from:
                slow_from += _SLOW_SECONDS
                _LOG.warning(
                    "replicas are still being deployed: if there is no room beside the old ones, "
                    "set HEADRACE_REPLICAS__SIDE_BY_SIDE=false",
                    application=name,
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _warm(self, base: str) -> None:
        """Have new replicas load what is in use, before anybody waits for it."""
        handle = self._applications.handle(self._applications.wanted(base))
        for adapter in self._in_use(base)[: self._settings.max_adapters]:
            try:
                await handle.load.remote(adapter)
            except Exception as error:  # noqa: BLE001 - Ray wraps whatever the replica raised
                # One that is refused is refused by the old replicas too, or ends its canary.
                _LOG.warning("not loaded", version=adapter.version, error=type(error).__name__)
        async for _ in handle.options(stream=True).generate.remote(None, [_WARM_UP]):
            pass

    async def _ask(self, base: str, name: str) -> None:
        self._handles[base] = await asyncio.to_thread(self._applications.handle, name)
        self._asked[base] = (name, time.monotonic())
        _LOG.info("asking", application=name, base=base)

    async def _follow(self) -> None:
        """Ask the application that another replica of this service deployed; end older ones."""
        for base, (name, since) in list(self._asked.items()):
            found = await asyncio.to_thread(self._applications.of_base, base)
            asked = current(found, base)
            if asked is None:
                continue
            if asked.name != name:
                # Its own is asked when it is warm, and only then.
                if not self._taking_over(base):
                    await self._ask(base, asked.name)
            elif time.monotonic() - since > _SUPERSEDED_SECONDS:
                await self._end(superseded(found, asked))

    def _taking_over(self, base: str) -> bool:
        task = self._takeovers.get(base)
        return task is not None and not task.done()

    async def _end(self, names: list[str]) -> None:
        for name in names:
            _LOG.info("ending replicas that nobody asks any more", application=name)
            await asyncio.to_thread(self._applications.delete, name)
