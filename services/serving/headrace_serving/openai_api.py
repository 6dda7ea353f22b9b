"""The shapes of OpenAI's answers, as the `openai` package reads them."""

import json
import time
from typing import Any

from headrace_serving.core.batching import Generated
from headrace_serving.openai_errors import ApiError

DONE = "data: [DONE]\n\n"


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


def broken_off(error: ApiError) -> str:
    """The event that ends a stream whose status was sent before the error came."""
    return f"data: {bytes(error.response().body).decode()}\n\n"


def usage(answer: Generated) -> dict[str, int]:
    """Tokens of one answer."""
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }
