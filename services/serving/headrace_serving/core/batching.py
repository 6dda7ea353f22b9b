"""Requests of both ways in, gathered into batches of one model version.

While a batch is generated the next one fills, so batches grow with the load by themselves and a
lone request never waits for company. An urgent request waits for the batch under way at most.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from headrace_events.inference import Fault
from headrace_serving.core.generation import (
    Adapter,
    Engine,
    EngineError,
    EngineUnavailable,
    FinishReason,
    Piece,
    Prompt,
    RequestRefused,
)
from headrace_serving.core.lanes import Lanes

_URGENT_SHARE = 4  # urgent requests have a bound of their own: a quarter of what the others have


class DeadlineExceeded(Exception):
    """Nobody waits for this answer any more; it was not generated.

    `fault` is whose it is: the caller's, who gave too little time, unless something failed
    meanwhile.
    """

    def __init__(self, fault: Fault = "caller") -> None:
        super().__init__("the deadline passed")
        self.fault: Fault = fault


class Overloaded(Exception):
    """Too much is under way already; try again in a moment."""


@dataclass(frozen=True, slots=True)
class Generated:
    """A whole answer."""

    text: str = field(repr=False)
    finish_reason: FinishReason
    input_tokens: int
    output_tokens: int
    seconds: float


@dataclass(slots=True)
class _Waiting:
    base: str
    adapter: Adapter | None
    prompt: Prompt
    deadline: float | None
    alone: bool = False
    pieces: "asyncio.Queue[Piece | Exception]" = field(default_factory=asyncio.Queue)
    abandoned: bool = False
    batch: "_Batch | None" = None

    @property
    def late(self) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and time.time() > self.deadline

    def abandon(self) -> None:
        """Nobody waits any more; a batch for which that holds of every row ends."""
        if self.abandoned:
            return
        self.abandoned = True
        if self.batch is not None:
            self.batch.awaited -= 1
            if not self.batch.awaited:
                self.batch.task.cancel()


@dataclass(slots=True)
class _Batch:
    awaited: int
    """Rows that somebody still waits for."""
    task: "asyncio.Task[None]"


# Called with the base, the version and the rows of each batch.
ObserveBatch = Callable[[str, str, int], None]


class Batcher:
    """Feeds an engine; one batch per base is under way at a time."""

    def __init__(
        self,
        engine: Engine,
        *,
        max_batch: int,
        max_waiting: int,
        observe: ObserveBatch = lambda _base, _version, _rows: None,
    ) -> None:
        self._engine = engine
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._observe = observe
        self._queues: dict[str, Lanes[_Waiting]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._under_way = {True: 0, False: 0}

    @property
    def in_flight(self) -> int:
        """Requests under way in both lanes."""
        return sum(self._under_way.values())

    def full(self, *, urgent: bool = False) -> bool:
        """Whether another request would be refused."""
        most = self._max_waiting // _URGENT_SHARE if urgent else self._max_waiting
        return self._under_way[urgent] >= max(1, most)

    async def answer(
        self, base: str, adapter: Adapter | None, prompt: Prompt, deadline: float | None = None
    ) -> Generated:
        """Generate a whole answer."""
        text = ""
        async for piece in self.stream(base, adapter, prompt, deadline):
            text += piece if isinstance(piece, str) else ""
            if isinstance(piece, Generated):
                return piece
        raise EngineUnavailable("the engine ended without an answer")

    async def stream(
        self,
        base: str,
        adapter: Adapter | None,
        prompt: Prompt,
        deadline: float | None = None,
        *,
        urgent: bool = False,
        alone: bool = False,
    ) -> AsyncGenerator[str | Generated]:
        """Generate; text comes in pieces when the prompt asks for it, the whole comes last.

        `alone`: in a batch of its own. Raises DeadlineExceeded, Overloaded or an EngineError.
        """
        waiting = _Waiting(base, adapter, prompt, deadline, alone)
        if waiting.late:
            raise DeadlineExceeded
        if self.full(urgent=urgent):
            raise Overloaded(f"{self._under_way[urgent]} requests are under way")
        self._queues.setdefault(base, Lanes()).of(urgent=urgent).append(waiting)
        self._under_way[urgent] += 1
        started = time.perf_counter()
        text = ""
        try:
            self._ensure_worker(base)
            while True:
                piece = await waiting.pieces.get()
                if isinstance(piece, Exception):
                    raise piece
                text += piece.text
                if piece.finish_reason is not None:
                    yield Generated(
                        text,
                        piece.finish_reason,
                        piece.input_tokens,
                        piece.output_tokens,
                        time.perf_counter() - started,
                    )
                    return
                if piece.text:
                    yield piece.text
        finally:
            waiting.abandon()
            self._under_way[urgent] -= 1

    async def stop(self) -> None:
        """End the workers; what waits gets no answer."""
        for worker in self._workers.values():
            worker.cancel()
        await asyncio.gather(*self._workers.values(), return_exceptions=True)

    def _ensure_worker(self, base: str) -> None:
        worker = self._workers.get(base)
        if worker is None or worker.done():
            self._workers[base] = asyncio.create_task(self._work(base), name=f"batches {base}")

    async def _work(self, base: str) -> None:
        lanes = self._queues[base]
        while lanes:
            # A turn of the event loop, so that what arrived together is batched together.
            await asyncio.sleep(0)
            rows = self._take(lanes.turn())
            if rows:
                await self._run(rows)

    async def _run(self, rows: list[_Waiting]) -> None:
        """Generate; return early when nobody waits for any row."""
        task = asyncio.create_task(self._generate(rows))
        batch = _Batch(len(rows), task)
        for row in rows:
            row.batch = batch
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()

    def _take(self, queue: deque[_Waiting]) -> list[_Waiting]:
        """Take the oldest request and all others for the same version, as far as they fit."""
        batch: list[_Waiting] = []
        others: list[_Waiting] = []
        while queue and len(batch) < self._max_batch:
            waiting = queue.popleft()
            if waiting.abandoned:
                continue
            if waiting.late:
                waiting.pieces.put_nowait(DeadlineExceeded())
            elif batch and (waiting.adapter != batch[0].adapter or waiting.alone or batch[0].alone):
                others.append(waiting)
            else:
                batch.append(waiting)
        queue.extendleft(reversed(others))
        return batch

    async def _generate(self, batch: list[_Waiting]) -> None:
        first = batch[0]
        self._observe(first.base, first.adapter.version if first.adapter else "base", len(batch))
        open_rows = set(range(len(batch)))
        try:
            async for pieces in self._engine.generate(
                first.base, first.adapter, [waiting.prompt for waiting in batch]
            ):
                for piece in pieces:
                    end = piece.finish_reason is not None or piece.refused is not None
                    if end:
                        open_rows.discard(piece.row)
                    batch[piece.row].pieces.put_nowait(
                        RequestRefused(piece.refused) if piece.refused is not None else piece
                    )
            error: Exception = EngineUnavailable("the engine ended before the answer did")
        except EngineError as raised:
            error = raised
        except Exception as raised:  # noqa: BLE001 - who waits must hear of it, whatever it was
            error = EngineUnavailable(f"the engine failed ({type(raised).__name__})")
        for row in open_rows:
            batch[row].pieces.put_nowait(error)
