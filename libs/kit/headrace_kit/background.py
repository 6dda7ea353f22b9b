"""Background tasks by name: the end of one is told, it begins anew, its repeated death is shown."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from headrace_kit.metrics import BACKGROUND_FAILURES

_LOG = structlog.get_logger(__name__)
_FIRST_BACKOFF_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 60.0
# A task that has run for so long is at work again: its next death is a first one.
_STEADY_SECONDS = 30.0
# One death may be an accident of the moment, and so may the one at once after it.
_MOST_IN_A_ROW = 3

Work = Callable[[], Awaitable[object]]


@dataclass
class _Task:
    name: str
    deaths: int = 0
    """In a row: without a steady run in between."""
    began: float = 0.0
    """When the run under way began, by the monotonic clock."""
    running: bool = False
    error: str = ""
    """Class of what it died of last."""


class Background:
    """The tasks of one process that nobody awaits; each is watched until `stop`."""

    def __init__(
        self,
        *,
        first_backoff_seconds: float = _FIRST_BACKOFF_SECONDS,
        steady_seconds: float = _STEADY_SECONDS,
    ) -> None:
        self._first_backoff = first_backoff_seconds
        self._steady = steady_seconds
        self._known: dict[str, _Task] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Work, *, endless: bool = True) -> "asyncio.Task[None]":
        """Run `work` in a task; whatever it dies of, run it again after a back-off.

        An `endless` work that returns has died too: it was to go on. `name` names the task in
        logs, metrics and readiness, so it holds no id. Cancelling the task ends all of it.
        """
        entry = self._known.setdefault(name, _Task(name))
        task = asyncio.create_task(self._keep(entry, work, endless), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def failing(self) -> dict[str, str]:
        """Return the tasks that die again and again, with the class of the last error."""
        return {
            entry.name: entry.error
            for entry in self._known.values()
            if entry.deaths >= _MOST_IN_A_ROW and not self._is_steady(entry)
        }

    async def stop(self) -> None:
        """Cancel every task and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_steady(self, entry: _Task) -> bool:
        return entry.running and time.monotonic() - entry.began >= self._steady

    async def _keep(self, entry: _Task, work: Work, endless: bool) -> None:
        while True:
            entry.began, entry.running = time.monotonic(), True
            error: BaseException | None = None
            try:
                await work()
            except asyncio.CancelledError as cancelled:
                # aiokafka lets the cancellation of its own tasks out; that one is not ours.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                error = cancelled
            except Exception as raised:  # noqa: BLE001 - told below; the task begins anew
                error = raised
            else:
                if not endless:
                    entry.deaths, entry.running = 0, False
                    return
            await asyncio.sleep(self._note_death(entry, error))

    def _note_death(self, entry: _Task, error: BaseException | None) -> float:
        """Tell of a death; return how many seconds to wait before the next run."""
        entry.deaths = 1 if self._is_steady(entry) else entry.deaths + 1
        entry.running = False
        entry.error = type(error).__name__ if error else "Ended"
        wait = self._first_backoff * 2.0 ** min(entry.deaths - 1, 10)
        wait = min(wait, _LONGEST_BACKOFF_SECONDS)
        BACKGROUND_FAILURES.labels(entry.name).inc()
        _LOG.error(
            "background task died",
            task=entry.name,
            error=entry.error,
            deaths=entry.deaths,
            again_in_seconds=wait,
            exc_info=error,
        )
        return wait
