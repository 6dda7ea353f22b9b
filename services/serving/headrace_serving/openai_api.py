"""The shapes of OpenAI's API, as the `openai` package sends and reads them."""

import json
import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from headrace_events.inference import Message
from headrace_events.workload import Manifest
from headrace_serving.core.batching import Generated
from headrace_serving.core.routing import Route, choose

DONE = "data: [DONE]\n\n"
_MAX_STOPS = 4


class ApiError(Exception):
    """An error as OpenAI shapes it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        kind: str = "invalid_request_error",
        param: str | None = None,
        retry_after: int | None = None,
        final: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers: dict[str, str] = {}
        if retry_after:
            self.headers["retry-after"] = str(retry_after)
        if final:
            # What the `openai` package heeds: it would try any status from 500 on again.
            self.headers["x-should-retry"] = "false"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class TextPart(BaseModel):
    """A piece of a message's content; only text is understood."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One turn; `developer` is a newer name of `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def plain(self) -> Message:
        """The turn as the events have it."""
        text = (
            self.content
            if isinstance(self.content, str)
            else "".join(part.text for part in self.content)
        )
        return Message(role="system" if self.role == "developer" else self.role, content=text)


def too_many(workload: str) -> ApiError:
    """429: one workload has more under way than it may."""
    return ApiError(
        429,
        f"too many requests for {workload} are under way: send fewer at once, or again in a moment",
        code="rate_limit_exceeded",
        kind="rate_limit_error",
        retry_after=1,
    )


def overloaded() -> ApiError:
    """503: all workloads together have more under way than there is room for."""
    return ApiError(
        503,
        "the service has more requests under way than it can take: try again in a moment",
        code="overloaded",
        kind="server_error",
        retry_after=2,
    )


def too_late() -> ApiError:
    """504: nobody waits for the answer any more."""
    return ApiError(
        504,
        "the deadline passed before the answer was generated: give it more time, or ask when there "
        "is less to do",
        code="deadline_exceeded",
        kind="server_error",
        final=True,
    )


class StreamOptions(BaseModel):
    """What a stream carries besides text."""

    include_usage: bool = False


class Sampled(BaseModel):
    """What both kinds of request share; unknown parameters are passed over as OpenAI does."""

    model_config = ConfigDict(extra="ignore")

    model: str
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0.0, le=2.0)
    """0 when not given: a tuned model's most likely answer."""
    top_p: float | None = Field(None, gt=0.0, le=1.0)
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=_MAX_STOPS)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    user: str | None = None
    service_tier: str | None = None
    """`priority` is the fast lane; other tiers of OpenAI's are the normal one."""

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class ChatRequest(Sampled):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=512)]
    max_completion_tokens: int | None = Field(None, ge=1)

    def turns(self) -> tuple[Message, ...]:
        """The conversation."""
        return tuple(message.plain() for message in self.messages)


class CompletionRequest(Sampled):
    """`POST /v1/completions`: the prompt is one user turn."""

    prompt: str

    def turns(self) -> tuple[Message, ...]:
        """The conversation."""
        return (Message(role="user", content=self.prompt),)


class Shape:
    """Writes one answer as a chat completion or as a text completion."""

    def __init__(self, request_id: str, model: str, *, chat: bool) -> None:
        self._chat = chat
        self._common = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{request_id}",
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, text: str, finish_reason: str, answer: Generated) -> dict[str, Any]:
        """The answer in one piece."""
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": finish_reason}
        if self._chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        kind = "chat.completion" if self._chat else "text_completion"
        return {**self._common, "object": kind, "choices": [choice], "usage": usage(answer)}

    def first(self) -> str:
        """The chunk that opens a stream."""
        return self._chunk({"role": "assistant", "content": ""}, None) if self._chat else ""

    def part(self, text: str) -> str:
        """A chunk of text."""
        return self._chunk({"content": text}, None, text)

    def last(self, finish_reason: str) -> str:
        """The chunk that says why the answer ends."""
        return self._chunk({}, finish_reason)

    def usage(self, answer: Generated) -> str:
        """The chunk that a request with `include_usage` gets at the end."""
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        return sse({**self._common, "object": kind, "choices": [], "usage": usage(answer)})

    def _chunk(self, delta: dict[str, str], finish_reason: str | None, text: str = "") -> str:
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": finish_reason}
        if self._chat:
            choice["delta"] = delta
            kind = "chat.completion.chunk"
        else:
            choice["text"] = text
            kind = "text_completion"
        return sse({**self._common, "object": kind, "choices": [choice]})


def sse(body: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def usage(answer: Generated) -> dict[str, int]:
    """Tokens of one answer."""
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def model_card(manifest: Manifest, route: Route) -> dict[str, Any]:
    """A workload as a model, with the versions that answer it now."""
    name = manifest.metadata.name
    serving = choose(Route(name, route.production), manifest.spec.base, "", None)
    canary = route.canary
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": manifest.metadata.owner,
        "base": manifest.spec.base,
        "version": serving.model.version,
        "canary": {"version": canary.candidate.version, "weight": canary.weight}
        if canary
        else None,
    }
