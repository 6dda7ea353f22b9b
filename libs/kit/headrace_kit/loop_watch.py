"""Watches the event loop: how late it is, and what keeps it when it stands still.

A task notes that the loop turns. A thread looks at the note: the loop itself cannot tell what
blocks it while it is blocked.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections import deque

import structlog

from headrace_kit.metrics import LOOP_LAG

_LOG = structlog.get_logger(__name__)
_TURN_SECONDS = 0.25
_BLOCKED_SECONDS = 1.0
"""A loop that stands still for so long is logged, with where it stands."""
_RECENT_SECONDS = 30.0
# With eight services on two cores a start alone can hold a loop up for seconds; a loop that is
# away for so long has missed heartbeats and probes.
_NOT_READY_SECONDS = 10.0


class LoopWatch:
    """Measures the lag of the event loop that runs `run`."""

    def __init__(self, blocked_seconds: float = _BLOCKED_SECONDS) -> None:
        self._blocked_seconds = blocked_seconds
        self._turned = time.monotonic()
        self._recent: deque[tuple[float, float]] = deque()
        self._over = threading.Event()
        LOOP_LAG.set_function(self.worst)

    def worst(self) -> float:
        """Return the longest lag of the last half minute, in seconds."""
        now = time.monotonic()
        while self._recent and now - self._recent[0][0] > _RECENT_SECONDS:
            self._recent.popleft()
        return max((lag for _, lag in self._recent), default=0.0)

    def well(self) -> bool:
        """Say whether the loop has turned lately without a long stand-still."""
        return self.worst() < _NOT_READY_SECONDS

    async def run(self) -> None:
        """Measure until cancelled."""
        self._over = threading.Event()
        self._turned = time.monotonic()
        watched = threading.get_ident()
        threading.Thread(
            target=self._look, args=(watched, self._over), name="loop watch", daemon=True
        ).start()
        try:
            while True:
                before = time.monotonic()
                await asyncio.sleep(_TURN_SECONDS)
                self._turned = time.monotonic()
                lag = self._turned - before - _TURN_SECONDS
                # Of lags that follow one another only the longest is ever asked for.
                while self._recent and self._recent[-1][1] <= lag:
                    self._recent.pop()
                self._recent.append((self._turned, max(0.0, lag)))
        finally:
            self._over.set()

    def _look(self, watched: int, over: threading.Event) -> None:
        told = 0.0
        while not over.wait(_TURN_SECONDS):
            turned = self._turned
            still = time.monotonic() - turned - _TURN_SECONDS
            if still < self._blocked_seconds or told == turned:
                continue
            told = turned
            frame = sys._current_frames().get(watched)
            # Places only: values in a frame may be what a user wrote.
            frames = traceback.extract_stack(frame)[-8:] if frame else []
            _LOG.warning(
                "the event loop stands still",
                seconds=round(still, 1),
                frames=[f"{f.filename}:{f.lineno} {f.name}" for f in frames],
            )
