"""The responses of both kinds of completion: whole or streamed, and ended when nobody listens."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headrace_events import new_id
from headrace_events.inference import Message
from headrace_events.workload import Manifest
from headrace_kit import Service
from headrace_kit.telemetry import current_traceparent, trace_id_of
from headrace_serving.chat import Asked, Chat, Outcome, Piece
from headrace_serving.core.ending import Unanswered
from headrace_serving.core.generation import Prompt
from headrace_serving.core.pinning import split
from headrace_serving.core.prompting import prompt_for
from headrace_serving.core.routing import Choice
from headrace_serving.openai_api import DONE, Shape, broken_off
from headrace_serving.openai_errors import api_error, no_such_model
from headrace_serving.openai_requests import ChatRequest, CompletionRequest

Body = ChatRequest | CompletionRequest


class Answering:
    """Turns a body into the response that answers it."""

    def __init__(self, service: Service, chat: Chat, timeout_seconds: float) -> None:
        self._service = service
        self._chat = chat
        self._timeout_seconds = timeout_seconds

    def __call__(self, body: Body, key: str | None, deadline: datetime | None) -> Response:
        """Answer while the response is sent, so that a caller who goes away is noticed."""
        messages = body.checked()
        workload, version = split(body.model)
        manifest = self.manifest(workload)
        # Without telemetry there is no span; the request has a trace id all the same.
        traceparent = current_traceparent() or (
            f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
        )
        asked = Asked(
            request_id=new_id(),
            manifest=manifest,
            messages=messages,
            prompt=lambda messages: _prompt(body, manifest, messages),
            key=key or body.user,
            deadline=deadline.timestamp() if deadline else time.time() + self._timeout_seconds,
            own_deadline=deadline is None,
            traceparent=traceparent,
            urgent=body.service_tier == "priority",
            version=version,
        )
        return _Answer(self._chat.answer(asked), asked, body)

    def manifest(self, workload: str) -> Manifest:
        """A workload's manifest; raise the error that names the known ones."""
        manifest = self._service.workloads.get(workload)
        if manifest is None:
            raise no_such_model(workload, [m.metadata.name for m in self._service.workloads.all()])
        return manifest


class _Answer(Response):
    """Asks for the answer and sends it; the caller's going away ends both.

    The status is sent with the first piece: what fails before it has a status of its own.
    """

    def __init__(self, pieces: AsyncGenerator[Piece], asked: Asked, body: Body) -> None:
        self._pieces = pieces
        self._asked = asked
        self._body = body
        self._shape = Shape(asked.request_id, body.model, chat=isinstance(body, ChatRequest))
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or stop as soon as nobody is there any more."""
        answering = asyncio.create_task(self._answer(scope, receive, send), name="answer")
        gone = asyncio.create_task(_gone(receive), name="caller")
        try:
            await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            answering.cancel()
            gone.cancel()
            # To its end: the answer's generator tells its outcome while it is closed.
            await asyncio.wait((answering, gone))
        if not answering.cancelled():
            answering.result()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._pieces) as pieces:
            if self._body.stream:
                await self._streamed(pieces, scope, receive, send)
                return
            try:
                async for choice, piece in pieces:
                    if isinstance(piece, Outcome):
                        whole = self._shape.whole(piece.text, piece.finish_reason, piece.answer)
                        response = JSONResponse(whole, headers=self._version_headers(choice))
                        await response(scope, receive, send)
            except Unanswered as error:
                await self._refused(error)(scope, receive, send)

    async def _streamed(
        self, pieces: AsyncGenerator[Piece], scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            choice, piece = await anext(pieces)
        except Unanswered as error:
            await self._refused(error)(scope, receive, send)
            return
        headers = {
            **self._version_headers(choice),
            "content-type": "text/event-stream; charset=utf-8",
        }
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            }
        )

        async def write(text: str, *, more: bool = True) -> None:
            body = text.encode("utf-8", "replace")
            await send({"type": "http.response.body", "body": body, "more_body": more})

        await write(self._shape.first() + self._chunk(piece))
        try:
            async for _, piece in pieces:
                await write(self._chunk(piece))
        except Unanswered as error:
            # The status is sent already: the `openai` package raises on an error event.
            await write(broken_off(api_error(error.ending)), more=False)
            return
        await write(DONE, more=False)

    def _chunk(self, piece: str | Outcome) -> str:
        if isinstance(piece, str):
            return self._shape.part(piece)
        options = self._body.stream_options
        usage = self._shape.usage(piece.answer) if options and options.include_usage else ""
        return self._shape.last(piece.finish_reason) + usage

    def _refused(self, error: Unanswered) -> Response:
        headers = self._version_headers(error.choice) if error.choice else self._request_headers()
        return api_error(error.ending).response(headers)

    def _version_headers(self, choice: Choice) -> dict[str, str]:
        return {
            "x-headrace-model-version": choice.model.version,
            "x-headrace-arm": "pinned" if choice.pinned else choice.arm,
            **self._request_headers(),
        }

    def _request_headers(self) -> dict[str, str]:
        return {
            "x-headrace-trace-id": trace_id_of(self._asked.traceparent) or "",
            "x-headrace-request-id": self._asked.request_id,
        }


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _prompt(body: Body, manifest: Manifest, messages: tuple[Message, ...]) -> Prompt:
    return prompt_for(
        manifest,
        messages,
        max_tokens=body.most_tokens,
        temperature=body.temperature or 0.0,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed,
        stop=body.stops,
        stream=bool(body.stream),
    )
