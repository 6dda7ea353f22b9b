"""What is sent to open consoles: every reader has a bounded queue, a slow one is told to reload."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from pydantic_core import to_json

_WAITING = 500
_HEARTBEAT_SECONDS = 1.0


class Live:
    """Fans messages out to the readers of /console/events."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._readers: set[asyncio.Queue[bytes]] = set()

    @property
    def readers(self) -> int:
        """How many consoles are open."""
        return len(self._readers)

    def send(self, kind: str, payload: Any) -> None:
        """Send one message to all readers."""
        if not self._readers:
            return
        message = f"event: {kind}\ndata: {dumps(payload)}\n\n".encode()
        for queue in list(self._readers):
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(b"event: reload\ndata: {}\n\n")
            queue.put_nowait(message)

    async def read(self) -> AsyncIterator[bytes]:
        """Return the messages from now on, as server-sent events."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        self._readers.add(queue)
        try:
            yield b"retry: 1000\n\n"
            # A console would hold the process up at its end: it connects again by itself.
            while not self._stopping():
                try:
                    async with asyncio.timeout(_HEARTBEAT_SECONDS):
                        news = await queue.get()
                    yield news
                except TimeoutError:
                    yield b": alive\n\n"
        finally:
            self._readers.discard(queue)


def dumps(payload: Any) -> str:
    """Return JSON on one line; times as ISO 8601."""
    return to_json(payload).decode()
