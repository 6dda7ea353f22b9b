"""The generator that both ways in share: a refused canary, and whose fault an ending is."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from headrace_events.references import ArtefactRef, ModelRef
from headrace_events.workload import Manifest
from headrace_serving.core.batching import Batcher, Generated
from headrace_serving.core.ending import Unanswered
from headrace_serving.core.generation import (
    Adapter,
    AdapterRefused,
    EngineError,
    EngineUnavailable,
    GenerationFailed,
    Piece,
    Prompt,
    RequestRefused,
)
from headrace_serving.core.routing import Canary, Choice, Route
from headrace_serving.generating import Generator, Request

MANIFEST = Manifest.model_validate(
    {"apiVersion": "headrace/v1", "kind": "Workload", "metadata": {"name": "docs"}}
)
BASE = ModelRef(name="docs", version="base", base=MANIFEST.spec.base)


def version(number: str) -> ModelRef:
    artefact = ArtefactRef(uri=f"file:///{number}", digest=f"sha256:{number}", size_bytes=1)
    return ModelRef(name="docs", version=number, base=BASE.base, artefact=artefact)


CANARY = Route("docs", canary=Canary("r", version("2"), BASE, (100,), 0, 100, "running"))
PRODUCTION = Route("docs", production=version("2"))
REQUEST = Request("docs", "r", None, Prompt((("user", "hello"),), max_tokens=4), None, None)


class Failing:
    """An engine that fails with an error for version 2 and answers for others."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def load(self, base: str, adapter: Adapter) -> None:
        """Nothing to do."""

    async def generate(
        self, base: str, adapter: Adapter | None, batch: Sequence[Prompt]
    ) -> AsyncIterator[Sequence[Piece]]:
        if adapter is not None:
            raise self._error
        yield [Piece(row, "answer", 1, 1, "stop") for row in range(len(batch))]


class Refusals:
    """Hears of refused candidates."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str]] = []

    async def __call__(self, workload: str, choice: Choice, reason: str) -> None:
        self.heard.append((workload, choice.model.version, reason))


def generator(error: Exception, route: Route, refusals: Refusals | None = None) -> Generator:
    batcher = Batcher(Failing(error), max_batch=4, max_waiting=8)
    return Generator(batcher, lambda _: route, refusals or Refusals())


@pytest.mark.parametrize("patience", [None, 5.0])
async def test_a_refused_canary_is_answered_by_the_incumbent_and_told(
    patience: float | None,
) -> None:
    refusals = Refusals()
    found = generator(AdapterRefused("its digest is another one"), CANARY, refusals)
    answers = [item async for item in found.answer(MANIFEST, REQUEST, patience)]
    ((choice, answer),) = answers
    assert choice.arm == "base"
    assert isinstance(answer, Generated)
    assert answer.text == "answer"
    assert refusals.heard == [("docs", "2", "its digest is another one")]


async def ended(error: EngineError, request: Request, patience: float | None = None) -> Unanswered:
    with pytest.raises(Unanswered) as caught:
        async for _ in generator(error, PRODUCTION).answer(MANIFEST, request, patience):
            pytest.fail("it answered")
    return caught.value


@pytest.mark.parametrize(
    ("error", "reason", "fault"),
    [
        (AdapterRefused("digest"), "engine_error", "version"),
        (GenerationFailed("ValueError"), "engine_error", "version"),
        (EngineUnavailable("away"), "engine_error", "capacity"),
        (RequestRefused("too long"), "invalid_request", "caller"),
    ],
)
async def test_whose_fault_an_error_is(error: EngineError, reason: str, fault: str) -> None:
    found = await ended(error, REQUEST)
    assert (found.ending.reason, found.ending.fault) == (reason, fault)
    assert found.choice is not None
    assert found.choice.model.version == "2"


@pytest.mark.parametrize(
    ("error", "fault"),
    [(EngineUnavailable("away"), "capacity"), (GenerationFailed("x"), "version")],
)
async def test_a_deadline_that_passes_while_the_engine_fails_is_no_caller_s(
    error: EngineError, fault: str
) -> None:
    soon = replace(REQUEST, deadline=time.time() + 0.2)
    found = await ended(error, soon, patience=5.0)
    assert (found.ending.reason, found.ending.fault) == ("deadline_exceeded", fault)


@pytest.mark.parametrize(("own", "fault"), [(False, "caller"), (True, "capacity")])
async def test_a_deadline_is_whose_it_is(own: bool, fault: str) -> None:
    late = replace(REQUEST, deadline=time.time() - 1, own_deadline=own)
    found = await ended(EngineUnavailable("unused"), late)
    assert (found.ending.reason, found.ending.fault) == ("deadline_exceeded", fault)


async def test_a_request_that_the_model_fails_on_holds_its_place_no_longer_than_the_patience() -> (
    None
):
    """With a deadline of next year it held a place of the lane until then; 128 of them, all."""
    started = time.monotonic()
    patient = replace(REQUEST, deadline=time.time() + 365 * 86_400)
    found = await ended(GenerationFailed("x"), patient, patience=1.5)
    assert (found.ending.reason, found.ending.fault) == ("engine_error", "version")
    assert time.monotonic() - started < 10


class Poisoned(Failing):
    """An engine that fails the whole batch in which one prompt stands."""

    async def generate(
        self, base: str, adapter: Adapter | None, batch: Sequence[Prompt]
    ) -> AsyncIterator[Sequence[Piece]]:
        if any(content == "poison" for prompt in batch for _, content in prompt.messages):
            raise self._error
        yield [Piece(row, "answer", 1, 1, "stop") for row in range(len(batch))]


@pytest.mark.parametrize("patience", [None, 1.5])
async def test_one_prompt_that_the_model_fails_on_ends_no_other_request_of_its_batch(
    patience: float | None,
) -> None:
    batcher = Batcher(Poisoned(GenerationFailed("ValueError")), max_batch=8, max_waiting=8)
    shared = Generator(batcher, lambda _: PRODUCTION)

    async def ask(content: str) -> str:
        request = replace(REQUEST, prompt=Prompt((("user", content),), max_tokens=4))
        try:
            async for _, piece in shared.answer(MANIFEST, request, patience):
                assert isinstance(piece, Generated)
                return piece.text
        except Unanswered as error:
            return error.ending.fault
        return "nothing"

    answers = await asyncio.gather(*map(ask, ["hello", "poison", "hello", "hello"]))
    assert answers == ["answer", "version", "answer", "answer"]
