"""The generator that both ways in share: a refused canary, and whose fault an ending is."""

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
