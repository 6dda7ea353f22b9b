"""One request from its route to its whole answer, for both ways in: patience, spans, metrics."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from headrace_events.workload import Manifest
from headrace_kit import telemetry
from headrace_serving.core.batching import Batcher, DeadlineExceeded, Generated, Overloaded
from headrace_serving.core.generation import AdapterRefused, EngineUnavailable, Prompt
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


class Generator:
    """Answers requests by the route of the moment."""

    def __init__(self, batcher: Batcher, route_of: Callable[[str], Route]) -> None:
        self._batcher = batcher
        self._route_of = route_of

    def full(self, *, urgent: bool = False) -> bool:
        """Whether another request would be refused."""
        return self._batcher.full(urgent=urgent)

    def choose(self, manifest: Manifest, request: Request, *, canary: bool = True) -> Choice:
        """Pick the version for a request."""
        route = self._route_of(request.workload)
        if not canary:
            route = replace(route, canary=None)
        return choose(route, manifest.spec.base, request.request_id, request.key)

    async def stream(self, choice: Choice, request: Request) -> AsyncIterator[str | Generated]:
        """Generate with one version, inside a span; text in pieces if asked for, the whole last."""
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": request.workload,
            "gen_ai.request.max_tokens": request.prompt.max_tokens,
            "gen_ai.response.model": f"{request.workload}:{choice.model.version}",
            "headrace.arm": choice.arm,
        }
        # Not the `span` context manager: an async generator may be resumed in another context.
        opened = telemetry.start_inner_span("generate", request.traceparent, attributes)
        try:
            async for piece in self._batcher.stream(
                choice.model.base,
                adapter_of(choice.model),
                request.prompt,
                request.deadline,
                urgent=request.urgent,
            ):
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
            opened.end()

    async def patiently(
        self, manifest: Manifest, request: Request, patience_seconds: float
    ) -> AsyncIterator[tuple[Choice, str | Generated]]:
        """Generate; while the engine is away, try again until the deadline (or the patience) ends.

        A canary whose adapter is refused is answered by the incumbent: its users must not suffer.
        Pieces start over with each try; the last item is the whole answer.
        """
        until = request.deadline or time.time() + patience_seconds
        canary = True
        while True:
            choice = self.choose(manifest, request, canary=canary)
            try:
                async for piece in self.stream(choice, request):
                    yield choice, piece
                return
            except AdapterRefused:
                if choice.arm != "canary":
                    raise
                canary = False
            except (EngineUnavailable, Overloaded):
                if time.time() + _RETRY_SECONDS > until:
                    if request.deadline:
                        raise DeadlineExceeded from None
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
