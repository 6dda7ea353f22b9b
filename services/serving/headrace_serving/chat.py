"""One request of the HTTP path: verdict, version, generation, verdict, captured outcome."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from headrace_events import Event, EventData
from headrace_events.inference import InferenceCompleted, InferenceRejected, Message, Usage
from headrace_events.workload import Manifest
from headrace_kit.telemetry import trace_id_of
from headrace_serving.adapters.guard import GuardClient, GuardUnavailable
from headrace_serving.core.admission import Admission, Slot
from headrace_serving.core.batching import DeadlineExceeded, Generated, Overloaded
from headrace_serving.core.generation import EngineError, RequestRefused
from headrace_serving.core.routing import Choice
from headrace_serving.generating import Generator, Request
from headrace_serving.inference import SOURCE
from headrace_serving.openai_api import ApiError, overloaded, too_late, too_many

_GUARD_SECONDS = 0.1  # a growing answer is checked at most this often
FILTERED = "content_filter"

Publish = Callable[..., Awaitable[None]]


@dataclass(slots=True)
class Outcome:
    """How an answer ended; `text` is what may be shown."""

    text: str
    finish_reason: str
    answer: Generated


class Chat:
    """Answers HTTP requests and captures them as the Kafka path does."""

    def __init__(
        self, generator: Generator, guard: GuardClient, publish: Publish, most_per_workload: int
    ) -> None:
        self._admission = Admission(most_per_workload)
        self._generator = generator
        self._guard = guard
        self._publish = publish

    def take(self, workload: str, *, urgent: bool) -> Slot:
        """A place for one request, until it is released; raise ApiError when there is none.

        Decided before anything else is done for the request: a refusal must cost nothing.
        """
        if self._generator.full(urgent=urgent):
            raise overloaded()
        slot = self._admission.take(workload)
        if slot is None:
            raise too_many(workload)
        return slot

    async def admit(
        self,
        request_id: str,
        workload: str,
        messages: tuple[Message, ...],
        deadline: float,
        traceparent: str,
    ) -> tuple[Message, ...]:
        """The messages as guardrails let them through; raise ApiError when they do not."""
        if time.time() > deadline:
            detail = "the deadline had passed when the request came"
            await self._reject(
                request_id, workload, traceparent, "deadline_exceeded", detail, "serving"
            )
            raise too_late()
        try:
            verdict = await self._guard.input(workload, request_id, messages, traceparent)
        except GuardUnavailable as error:
            raise _guard_down(error) from None
        if verdict.action != "block" and verdict.messages is not None:
            return verdict.messages
        await self._reject(request_id, workload, traceparent, "guardrail", verdict.detail, "input")
        raise ApiError(
            400, f"the request was refused by {verdict.detail}", code=FILTERED, param="messages"
        )

    def choose(self, manifest: Manifest, request: Request) -> Choice:
        """Pick the version that answers."""
        return self._generator.choose(manifest, request)

    async def answer(
        self, choice: Choice, request: Request, messages: tuple[Message, ...]
    ) -> AsyncIterator[str | Outcome]:
        """Checked text in pieces (if the request streams), the outcome last; raise ApiError.

        The text that is shown is always a prefix of what the checks make of the whole.
        """
        started = time.time()
        text, shown, checked_at = "", "", 0.0
        try:
            async for piece in self._generator.stream(choice, request):
                if isinstance(piece, Generated):
                    outcome = await self._outcome(choice, request, messages, piece, started)
                    # A blocked answer ends where it is; what was shown before was free of doubt.
                    if request.prompt.stream and len(outcome.text) > len(shown):
                        yield outcome.text[len(shown) :]
                    yield outcome
                    return
                text += piece
                if time.monotonic() - checked_at >= _GUARD_SECONDS:
                    released = await self._released(request, text)
                    checked_at = time.monotonic()
                    if len(released) > len(shown):
                        yield released[len(shown) :]
                        shown = released
        except (GuardUnavailable, DeadlineExceeded, Overloaded, EngineError) as error:
            reason, shaped = _explained(error)
            await self._failed(choice, request, reason, str(shaped))
            raise shaped from None

    async def _released(self, request: Request, text: str) -> str:
        """What may be shown of a growing answer; of a blocked one nothing more."""
        verdict = await self._guard.output(
            request.workload, request.request_id, text, request.traceparent or "", final=False
        )
        return (verdict.text or "") if verdict.action != "block" else ""

    async def _outcome(
        self,
        choice: Choice,
        request: Request,
        messages: tuple[Message, ...],
        answer: Generated,
        started: float,
    ) -> Outcome:
        """The verdict on the whole answer, captured."""
        traceparent = request.traceparent or ""
        verdict = await self._guard.output(
            request.workload, request.request_id, answer.text, traceparent
        )
        if verdict.action == "block":
            await self._failed(choice, request, "guardrail", verdict.detail, stage="output")
            return Outcome("", FILTERED, answer)
        text = verdict.text or ""
        await self._capture(
            request.workload,
            InferenceCompleted(
                request_id=request.request_id,
                messages=messages,
                text=text,
                model=request.workload,
                model_version=choice.model.version,
                arm=choice.arm,
                finish_reason=answer.finish_reason,
                usage=Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens),
                latency_ms=(time.time() - started) * 1000,
                trace_id=trace_id_of(traceparent),
                via="http",
            ),
            request.request_id,
            traceparent,
        )
        return Outcome(text, answer.finish_reason, answer)

    async def _failed(
        self, choice: Choice, request: Request, reason: str, detail: str, stage: str = "serving"
    ) -> None:
        await self._reject(
            request.request_id,
            request.workload,
            request.traceparent or "",
            reason,
            detail,
            stage,
            choice,
        )

    async def _reject(
        self,
        request_id: str,
        workload: str,
        traceparent: str,
        reason: str,
        detail: str,
        stage: str,
        choice: Choice | None = None,
    ) -> None:
        fact = InferenceRejected.model_validate(
            {
                "request_id": request_id,
                "reason": reason,
                "detail": detail,
                "stage": stage,
                "model_version": choice.model.version if choice else None,
                "arm": choice.arm if choice else None,
                "trace_id": trace_id_of(traceparent),
                "via": "http",
            }
        )
        await self._capture(workload, fact, request_id, traceparent)

    async def _capture(
        self, workload: str, fact: EventData, request_id: str, traceparent: str
    ) -> None:
        await self._publish(
            Event[Any].new(
                fact,
                source=SOURCE,
                workload=workload,
                subject=request_id,
                traceparent=traceparent or None,
            )
        )


def _guard_down(error: Exception) -> ApiError:
    return ApiError(
        503,
        f"guardrails gave no verdict ({error}), so nothing is let through: try again",
        code="guardrails_unavailable",
        kind="server_error",
        retry_after=2,
    )


def _explained(error: Exception) -> tuple[str, ApiError]:
    """Why there is no answer: the outcome's reason, and the error for the caller."""
    match error:
        case GuardUnavailable():
            return "engine_error", _guard_down(error)
        case DeadlineExceeded():
            return "deadline_exceeded", too_late()
        case Overloaded():
            return "overloaded", overloaded()
        case RequestRefused():
            shaped = ApiError(400, str(error), code="context_length_exceeded", param="messages")
            return "engine_error", shaped
        case _:
            return "engine_error", _unavailable(str(error))


def _unavailable(message: str) -> ApiError:
    return ApiError(503, message, code="engine_unavailable", kind="server_error", retry_after=2)
