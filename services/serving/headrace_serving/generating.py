"""One request from its route to its whole answer, for both ways in: patience, spans, metrics."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from headrace_events.workload import Manifest
from headrace_kit import telemetry
from headrace_serving.core.batching import Batcher, DeadlineExceeded, Generated, Overloaded
from headrace_serving.core.ending import Unanswered, ending_of
from headrace_serving.core.generation import (
    AdapterRefused,
    EngineError,
    EngineUnavailable,
    GenerationFailed,
    Prompt,
)
from headrace_serving.core.pinning import refused
from headrace_serving.core.prompting import adapter_of
from headrace_serving.core.routing import Choice, Route, choose
from headrace_serving.metrics import GENERATION_SECONDS, TOKENS

_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """What generating needs to know of a request."""

    workload: str
    request_id: str
    key: str | None
    prompt: Prompt
    deadline: float | None
    traceparent: str | None
    urgent: bool = False
    own_deadline: bool = False
    """Whether the deadline is this service's: the caller gave none."""
    pinned: Choice | None = None
    """The version that the caller chose; none: the route of the moment decides."""


# Called with the workload, the refused candidate and the reason; it raises nothing.
Refused = Callable[[str, Choice, str], Awaitable[None]]


async def _ignore(_workload: str, _choice: Choice, _reason: str) -> None:
    """A refused candidate changes nothing."""


class Generator:
    """Answers requests by the route of the moment."""

    def __init__(
        self, batcher: Batcher, route_of: Callable[[str], Route], refused: Refused = _ignore
    ) -> None:
        self._batcher = batcher
        self._route_of = route_of
        self._refused = refused

    def full(self, *, urgent: bool = False) -> bool:
        """Whether another request would be refused."""
        return self._batcher.full(urgent=urgent)

    def choose(self, manifest: Manifest, request: Request, *, canary: bool = True) -> Choice:
        """Pick the version for a request."""
        if request.pinned:
            return request.pinned
        route = self._route_of(request.workload)
        if not canary:
            route = replace(route, canary=None)
        return choose(route, manifest.spec.base, request.request_id, request.key)

    async def stream(
        self, choice: Choice, request: Request, *, alone: bool = False
    ) -> AsyncGenerator[str | Generated]:
        """Generate with one version, inside a span; text in pieces if asked for, the whole last."""
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": request.workload,
            "gen_ai.request.max_tokens": request.prompt.max_tokens,
            "gen_ai.response.model": f"{request.workload}:{choice.model.version}",
            "headrace.arm": choice.arm,
            "headrace.pinned": choice.pinned,
        }
        # Not the `span` context manager: an async generator may be resumed in another context.
        opened = telemetry.start_inner_span("generate", request.traceparent, attributes)
        pieces = self._batcher.stream(
            choice.model.base,
            adapter_of(choice.model),
            request.prompt,
            request.deadline,
            urgent=request.urgent,
            alone=alone,
        )
        try:
            async for piece in pieces:
                if isinstance(piece, Generated):
                    labels = (request.workload, choice.model.version)
                    TOKENS.labels(*labels).inc(piece.output_tokens)
                    GENERATION_SECONDS.labels(*labels).observe(piece.seconds)
                    opened.set_attributes(
                        {
                            "gen_ai.usage.input_tokens": piece.input_tokens,
                            "gen_ai.usage.output_tokens": piece.output_tokens,
                            "gen_ai.response.finish_reasons": [piece.finish_reason],
                        }
                    )
                yield piece
        finally:
            # At once, not when the event loop collects it: it holds a place in the batch.
            await pieces.aclose()
            opened.end()

    async def answer(
        self, manifest: Manifest, request: Request, patience_seconds: float | None = None
    ) -> AsyncGenerator[tuple[Choice, str | Generated]]:
        """Generate by the route of the moment; the last item is the whole answer.

        With patience, while the engine is away, try again until the deadline (or the patience)
        ends; pieces start over with each try. What failed in a batch is tried again alone, for it
        may have been another row's doing. What the model fails on again and again is given up after
        the patience, however late its deadline: it holds a place of the lane. A canary whose
        adapter is refused is answered by the incumbent, and ends: its users must not suffer, nor
        may it wait for ever for a judgement.
        Raises Unanswered, with the version that was to answer.
        """
        now = time.time()
        patient = now + (patience_seconds or 0.0)
        until = now if patience_seconds is None else request.deadline or patient
        canary = True
        alone = begun = False
        while True:
            choice = self.choose(manifest, request, canary=canary)
            try:
                async with aclosing(self.stream(choice, request, alone=alone)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield choice, piece
                return
            except AdapterRefused as error:
                if choice.pinned:
                    raise refused(choice, str(error)) from None
                if choice.arm != "canary":
                    raise self._unanswered(error, request, choice) from None
                await self._refused(request.workload, choice, str(error))
                canary = False
            except (EngineUnavailable, Overloaded) as error:
                failed = isinstance(error, GenerationFailed)
                if failed and not alone and not (begun and patience_seconds is None):
                    alone = True
                    continue
                if time.time() + _RETRY_SECONDS > (min(until, patient) if failed else until):
                    late = request.deadline and time.time() + _RETRY_SECONDS > request.deadline
                    late = late and patience_seconds is not None
                    fault = ending_of(error).fault
                    shown = DeadlineExceeded(fault) if late else error
                    raise self._unanswered(shown, request, choice) from None
                await asyncio.sleep(_RETRY_SECONDS)
            except (DeadlineExceeded, EngineError) as error:
                raise self._unanswered(error, request, choice) from None

    @staticmethod
    def _unanswered(error: Exception, request: Request, choice: Choice) -> Unanswered:
        return Unanswered(ending_of(error, own_deadline=request.own_deadline), choice)
