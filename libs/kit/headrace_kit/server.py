"""The HTTP server: asked to stop, it is first not ready, and only then closes its socket."""

import asyncio
import gc
from collections.abc import Callable
from socket import socket
from types import FrameType

import uvicorn

_COLLECT_AFTER = (20_000, 20, 50)  # objects, and collections of the generation before


class DrainingServer(uvicorn.Server):
    """uvicorn with a moment between SIGTERM and the end in which no new work is taken.

    A load balancer sees /readyz fail in that moment and sends the next request elsewhere; one that
    comes all the same is answered 503 with Retry-After.
    """

    def __init__(
        self, config: uvicorn.Config, *, begin_drain: Callable[[], None], grace_seconds: float
    ) -> None:
        super().__init__(config)
        self._begin_drain = begin_drain
        self._grace_seconds = grace_seconds
        self._asked = False

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start; then leave what the start made out of garbage collection, and collect less often.

        Each event makes many short-lived objects. Here, as it holds for the whole process.
        """
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; asked a second time, stop at once."""
        if self._asked or not self.started:
            super().handle_exit(sig, frame)
            return
        self._asked = True
        self._begin_drain()
        loop = asyncio.get_running_loop()
        loop.call_later(self._grace_seconds, super().handle_exit, sig, frame)
