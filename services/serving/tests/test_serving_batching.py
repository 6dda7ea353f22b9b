"""The batcher: grouping, deadlines, refusals, streams, and an engine that fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from headrace_serving.core.batching import Batcher, DeadlineExceeded, Generated, Overloaded
from headrace_serving.core.generation import (
    Adapter,
    EngineUnavailable,
    Piece,
    Prompt,
    RequestRefused,
)

ONE = Adapter("1", "file:///1", "sha256:1")


class Echo:
    """An engine that answers with the question, word by word; it fails on `boom`."""

    def __init__(self) -> None:
        self.batches: list[tuple[Adapter | None, list[str]]] = []
        self.go = asyncio.Event()
        self.go.set()

    async def load(self, base: str, adapter: Adapter) -> None:
        """Nothing to do."""

    async def generate(
        self, base: str, adapter: Adapter | None, batch: Sequence[Prompt]
    ) -> AsyncIterator[Sequence[Piece]]:
        questions = [prompt.messages[0][1] for prompt in batch]
        self.batches.append((adapter, questions))
        await self.go.wait()
        for row, (prompt, question) in enumerate(zip(batch, questions, strict=True)):
            if question == "boom":
                raise EngineUnavailable("gone")
            if question == "long":
                yield [Piece(row, "", refused="too long")]
                continue
            words = question.split()
            if prompt.stream:
                for word in words[:-1]:
                    yield [Piece(row, word + " ")]
                yield [Piece(row, words[-1], 1, len(words), "stop")]
            else:
                yield [Piece(row, question, 1, len(words), "stop")]


def prompt(text: str, *, stream: bool = False) -> Prompt:
    return Prompt((("user", text),), max_tokens=4, stream=stream)


@pytest.fixture
def engine() -> Echo:
    return Echo()


@pytest.fixture
def batcher(engine: Echo) -> Batcher:
    return Batcher(engine, max_batch=4, max_waiting=12)


async def test_what_arrives_together_is_one_batch(batcher: Batcher, engine: Echo) -> None:
    answers = await asyncio.gather(*(batcher.answer("b", None, prompt(f"q {n}")) for n in range(6)))
    assert [a.text for a in answers] == [f"q {n}" for n in range(6)]
    assert [len(questions) for _, questions in engine.batches] == [4, 2]
    assert batcher.in_flight == 0


async def test_a_batch_has_one_version(batcher: Batcher, engine: Echo) -> None:
    adapters = [None, ONE, None, ONE]
    await asyncio.gather(*(batcher.answer("b", a, prompt(f"q{n}")) for n, a in enumerate(adapters)))
    assert engine.batches == [(None, ["q0", "q2"]), (ONE, ["q1", "q3"])]


async def test_late_requests_are_not_generated(batcher: Batcher, engine: Echo) -> None:
    with pytest.raises(DeadlineExceeded):
        await batcher.answer("b", None, prompt("q"), deadline=time.time() - 1)
    assert engine.batches == []


async def test_a_deadline_that_passes_in_the_queue_counts(batcher: Batcher, engine: Echo) -> None:
    engine.go.clear()
    first = asyncio.create_task(batcher.answer("b", None, prompt("first")))
    await asyncio.sleep(0.01)
    late = asyncio.create_task(batcher.answer("b", None, prompt("late"), time.time() + 0.05))
    await asyncio.sleep(0.1)
    engine.go.set()
    assert (await first).text == "first"
    with pytest.raises(DeadlineExceeded):
        await late
    assert len(engine.batches) == 1


async def test_streams_give_pieces_and_then_the_whole(batcher: Batcher) -> None:
    pieces = [p async for p in batcher.stream("b", None, prompt("a b c", stream=True))]
    assert pieces[:-1] == ["a ", "b "]
    last = pieces[-1]
    assert isinstance(last, Generated)
    assert (last.text, last.output_tokens) == ("a b c", 3)


async def test_one_refused_row_does_not_spoil_the_batch(batcher: Batcher) -> None:
    good, bad = await asyncio.gather(
        batcher.answer("b", None, prompt("good")),
        batcher.answer("b", None, prompt("long")),
        return_exceptions=True,
    )
    assert isinstance(good, Generated)
    assert isinstance(bad, RequestRefused)


async def test_a_failing_engine_is_told_to_all_and_the_next_batch_runs(batcher: Batcher) -> None:
    results = await asyncio.gather(
        batcher.answer("b", None, prompt("boom")),
        batcher.answer("b", None, prompt("too")),
        return_exceptions=True,
    )
    assert all(isinstance(r, EngineUnavailable) for r in results)
    assert (await batcher.answer("b", None, prompt("again"))).text == "again"


async def test_too_much_at_once_is_refused(batcher: Batcher, engine: Echo) -> None:
    engine.go.clear()
    waiting = [asyncio.create_task(batcher.answer("b", None, prompt("q"))) for _ in range(12)]
    await asyncio.sleep(0.01)
    assert batcher.full()
    assert not batcher.full(urgent=True)  # a share of its own
    with pytest.raises(Overloaded):
        await batcher.answer("b", None, prompt("one more"))
    engine.go.set()
    await asyncio.gather(*waiting)


async def test_who_went_away_is_not_computed_for(batcher: Batcher, engine: Echo) -> None:
    engine.go.clear()
    first = asyncio.create_task(batcher.answer("b", None, prompt("first")))
    await asyncio.sleep(0.01)
    gone = asyncio.create_task(batcher.answer("b", None, prompt("gone")))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    engine.go.set()
    await first
    await batcher.answer("b", None, prompt("last"))
    assert [q for _, questions in engine.batches for q in questions] == ["first", "last"]


async def test_an_urgent_request_waits_for_the_batch_under_way_alone(
    batcher: Batcher, engine: Echo
) -> None:
    engine.go.clear()
    backlog = [asyncio.create_task(batcher.answer("b", None, prompt(f"{n}"))) for n in range(11)]
    await asyncio.sleep(0.01)

    async def urgent() -> str:
        pieces = batcher.stream("b", None, prompt("urgent"), urgent=True)
        (whole,) = [piece.text async for piece in pieces if isinstance(piece, Generated)]
        return whole

    waiting = asyncio.create_task(urgent())
    await asyncio.sleep(0.01)
    engine.go.set()
    assert await waiting == "urgent"
    await asyncio.gather(*backlog)
    assert [len(questions) for _, questions in engine.batches] == [4, 1, 4, 3]
    assert engine.batches[1][1] == ["urgent"]


async def test_a_batch_that_nobody_waits_for_ends(batcher: Batcher, engine: Echo) -> None:
    engine.go.clear()
    pair = [asyncio.create_task(batcher.answer("b", None, prompt(f"{n}"))) for n in range(2)]
    await asyncio.sleep(0.01)
    next_one = asyncio.create_task(batcher.answer("b", None, prompt("next")))
    pair[0].cancel()
    await asyncio.sleep(0.01)
    assert len(engine.batches) == 1  # one row still has somebody who waits
    pair[1].cancel()
    await asyncio.sleep(0.01)
    assert len(engine.batches) == 2  # the engine was stopped, although it never answered
    engine.go.set()
    assert (await next_one).text == "next"
    await asyncio.gather(*pair, return_exceptions=True)
    assert batcher.in_flight == 0
