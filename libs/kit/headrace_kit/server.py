"""The HTTP server: asked to stop, it is first not ready, and only then closes its socket."""

import asyncio
from collections.abc import Callable
from types import FrameType

import uvicorn


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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; asked a second time, stop at once."""
        if self._asked or not self.started:
            super().handle_exit(sig, frame)
            return
        self._asked = True
        self._begin_drain()
        loop = asyncio.get_running_loop()
        loop.call_later(self._grace_seconds, super().handle_exit, sig, frame)
