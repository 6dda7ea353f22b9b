"""HTTP as the `openai` package speaks it, and the routes and canaries of the moment."""

import secrets
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import AwareDatetime
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headrace_events import new_id
from headrace_events.inference import Message
from headrace_events.workload import Manifest
from headrace_kit import Service
from headrace_kit.telemetry import current_traceparent, trace_id_of
from headrace_serving.adapters import routes as stored
from headrace_serving.adapters.routes import RouteCache
from headrace_serving.chat import Chat, Outcome
from headrace_serving.core.admission import Slot
from headrace_serving.core.generation import Prompt
from headrace_serving.core.prompting import prompt_for
from headrace_serving.core.routing import Canary
from headrace_serving.generating import Request
from headrace_serving.openai_api import (
    DONE,
    ApiError,
    ChatRequest,
    CompletionRequest,
    Shape,
    model_card,
    sse,
)

Key = Annotated[str | None, Header(alias="x-headrace-key", max_length=256)]
Deadline = Annotated[AwareDatetime | None, Header(alias="x-headrace-deadline")]


def router(service: Service, chat: Chat, cache: RouteCache, timeout_seconds: float) -> APIRouter:
    """The routes of serving."""
    api = APIRouter()
    answering = _Answering(service, chat, timeout_seconds)

    @api.post("/v1/chat/completions", tags=["openai"], response_model=None)
    async def chat_completions(
        body: ChatRequest, key: Key = None, deadline: Deadline = None
    ) -> Response:
        """Answer a conversation; `model` is the workload."""
        most = body.max_completion_tokens or body.max_tokens
        return await answering(body, key, deadline, most)

    @api.post("/v1/completions", tags=["openai"], response_model=None)
    async def completions(
        body: CompletionRequest, key: Key = None, deadline: Deadline = None
    ) -> Response:
        """Answer a prompt as one user turn; `model` is the workload."""
        return await answering(body, key, deadline, body.max_tokens)

    @api.get("/v1/models", tags=["openai"])
    async def models() -> dict[str, Any]:
        """Workloads as models, with the versions that answer them."""
        cards = [model_card(m, cache.get(m.metadata.name)) for m in service.workloads.all()]
        return {"object": "list", "data": cards}

    @api.get("/v1/models/{name}", tags=["openai"])
    async def model(name: str) -> dict[str, Any]:
        """One workload as a model."""
        return model_card(answering.manifest(name), cache.get(name))

    @api.get("/rollouts", tags=["rollouts"])
    async def rollouts() -> dict[str, Any]:
        """Every workload's route, and the canaries there were."""
        async with service.unit_of_work() as uow:
            past = await stored.history(uow.session)
        return {
            "routes": [_route(m, cache) for m in service.workloads.all()],
            "rollouts": [
                {
                    "rollout_id": row.rollout_id,
                    "workload": row.workload,
                    "version": row.version,
                    "state": row.state,
                    "step": row.step,
                    "weight": row.weight,
                    "reason": row.reason,
                    "started_at": row.started_at.isoformat(),
                    "updated_at": row.updated_at.isoformat(),
                }
                for row in past
            ],
        }

    return api


def answer_errors(app: FastAPI) -> None:
    """Let the app answer ApiError in OpenAI's shape."""

    async def handler(_request: HttpRequest, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)  # noqa: S101 - registered for this class only
        return JSONResponse(error.body, status_code=error.status, headers=error.headers)

    app.add_exception_handler(ApiError, handler)


class _Streamed(StreamingResponse):
    """A stream that gives its place back at its end, or when the caller went away."""

    slot: Slot | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self.slot:
                self.slot.release()


class _Answering:
    """Both kinds of completion, whole or streamed."""

    def __init__(self, service: Service, chat: Chat, timeout_seconds: float) -> None:
        self._service = service
        self._chat = chat
        self._timeout_seconds = timeout_seconds

    async def __call__(
        self,
        body: ChatRequest | CompletionRequest,
        key: str | None,
        deadline: datetime | None,
        max_tokens: int | None,
    ) -> Response:
        manifest = self.manifest(body.model)
        urgent = body.service_tier == "priority"
        slot = self._chat.take(body.model, urgent=urgent)
        try:
            request_id = new_id()
            # Without telemetry there is no span; the request has a trace id all the same.
            traceparent = current_traceparent() or (
                f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
            )
            until = deadline.timestamp() if deadline else time.time() + self._timeout_seconds
            messages = await self._chat.admit(
                request_id, body.model, body.turns(), until, traceparent
            )
            request = Request(
                workload=body.model,
                request_id=request_id,
                key=key or body.user,
                prompt=_prompt(body, manifest, messages, max_tokens),
                deadline=until,
                traceparent=traceparent,
                urgent=urgent,
            )
            response = await self._respond(body, manifest, request, messages)
        except BaseException:
            slot.release()
            raise
        if isinstance(response, _Streamed):
            response.slot = slot
        else:
            slot.release()
        return response

    async def _respond(
        self,
        body: ChatRequest | CompletionRequest,
        manifest: Manifest,
        request: Request,
        messages: tuple[Message, ...],
    ) -> Response:
        choice = self._chat.choose(manifest, request)
        headers = {
            "x-headrace-model-version": choice.model.version,
            "x-headrace-arm": choice.arm,
            "x-headrace-trace-id": trace_id_of(request.traceparent) or "",
            "x-headrace-request-id": request.request_id,
        }
        shape = Shape(request.request_id, body.model, chat=isinstance(body, ChatRequest))
        pieces = self._chat.answer(choice, request, messages)
        if body.stream:
            events = _events(pieces, shape, body)
            return _Streamed(events, media_type="text/event-stream", headers=headers)
        async for piece in pieces:
            if isinstance(piece, Outcome):
                whole = shape.whole(piece.text, piece.finish_reason, piece.answer)
                return JSONResponse(whole, headers=headers)
        raise ApiError(503, "there was no answer", code="engine_unavailable", kind="server_error")

    def manifest(self, workload: str) -> Manifest:
        """A workload's manifest; raise the error that names the known ones."""
        manifest = self._service.workloads.get(workload)
        if manifest is None:
            known = ", ".join(m.metadata.name for m in self._service.workloads.all()) or "none yet"
            raise ApiError(
                404,
                f"there is no workload {workload!r}; known: {known}. "
                "Apply its manifest with `headrace apply`",
                code="model_not_found",
                param="model",
            )
        return manifest


async def _events(
    pieces: AsyncIterator[str | Outcome], shape: Shape, body: ChatRequest | CompletionRequest
) -> AsyncIterator[str]:
    first = shape.first()
    if first:
        yield first
    try:
        async for piece in pieces:
            if isinstance(piece, str):
                yield shape.part(piece)
                continue
            yield shape.last(piece.finish_reason)
            if body.stream_options and body.stream_options.include_usage:
                yield shape.usage(piece.answer)
        yield DONE
    except ApiError as error:
        # The status is sent already: the `openai` package raises on an error event.
        yield sse(error.body)


def _prompt(
    body: ChatRequest | CompletionRequest,
    manifest: Manifest,
    messages: Any,
    max_tokens: int | None,
) -> Prompt:
    return prompt_for(
        manifest,
        messages,
        max_tokens=max_tokens,
        temperature=body.temperature or 0.0,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed,
        stop=body.stops,
        stream=body.stream,
    )


def _route(manifest: Manifest, cache: RouteCache) -> dict[str, Any]:
    route = cache.get(manifest.metadata.name)
    return {
        "workload": route.workload,
        "base": manifest.spec.base,
        "production": route.production.version if route.production else "base",
        "canary": _canary(route.canary) if route.canary else None,
    }


def _canary(canary: Canary) -> dict[str, Any]:
    return {
        "rollout_id": canary.rollout_id,
        "version": canary.candidate.version,
        "incumbent": canary.incumbent.version,
        "state": canary.state,
        "step": canary.step,
        "steps": list(canary.steps),
        "weight": canary.weight,
    }
