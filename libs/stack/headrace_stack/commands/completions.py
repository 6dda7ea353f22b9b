"""The OpenAI door of the stack, as `ask` and `chat` use it: one answer, whole or in pieces."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from headrace_stack.commands.api import Api, Refused
from headrace_stack.commands.names import unknown
from headrace_stack.paths import default_home
from headrace_stack.state import live_state

PATIENCE_SECONDS = 120.0
"""A little more than the stack itself has."""
_PATH = ("v1", "chat", "completions")

Turn = dict[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer and what gave it."""

    model: str
    """`name@version`: asking for it gives an answer of the same version."""
    version: str
    arm: str
    """base, production, canary; pinned where a version was asked for."""
    text: str
    finish_reason: str
    latency_ms: float
    """From sending the request to the last byte, as it was measured here."""
    input_tokens: int | None
    output_tokens: int | None
    request_id: str
    trace_id: str
    trace_url: str | None

    def figures(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def pinned(name: str, version: str | None) -> str:
    """The model to ask for."""
    return name if version is None else f"{name}@{version}"


def complete(
    api: Api,
    name: str,
    turns: Sequence[Turn],
    *,
    version: str | None = None,
    max_tokens: int | None = None,
    key: str | None = None,
) -> Reply:
    """POST /v1/chat/completions, answered whole."""
    started = time.monotonic()
    with _naming(api, name):
        body, headers = api.exchange(
            *_PATH, body=_body(name, version, turns, max_tokens), headers=_headers(key)
        )
    choice, usage = body["choices"][0], body.get("usage") or {}
    empty = Reply(
        "", "", "", "", choice["finish_reason"], 0.0, usage.get("prompt_tokens"),
        usage.get("completion_tokens"), "", "", None,
    )  # fmt: skip
    return _reply(empty, name, choice["message"]["content"], headers, started)


def stream(
    api: Api,
    name: str,
    turns: Sequence[Turn],
    show: Callable[[str], None],
    *,
    version: str | None = None,
    max_tokens: int | None = None,
    key: str | None = None,
) -> Reply:
    """POST /v1/chat/completions with `stream`; `show` gets each piece as it comes."""
    started = time.monotonic()
    asked = _body(name, version, turns, max_tokens)
    asked |= {"stream": True, "stream_options": {"include_usage": True}}
    empty = Reply("", "", "", "", "", 0.0, None, None, "", "", None)
    text = ""
    with _naming(api, name), api.stream(*_PATH, body=asked, headers=_headers(key)) as answer:
        headers, chunks = answer
        for chunk in chunks:
            usage = chunk.get("usage") or {}
            if usage:
                empty = replace(
                    empty,
                    input_tokens=usage.get("prompt_tokens"),
                    output_tokens=usage.get("completion_tokens"),
                )
            for choice in chunk.get("choices") or ():
                piece = choice["delta"].get("content") or ""
                if piece:
                    text += piece
                    show(piece)
                if choice.get("finish_reason"):
                    empty = replace(empty, finish_reason=choice["finish_reason"])
    return _reply(empty, name, text, headers, started)


def check(api: Api, name: str, version: str | None) -> None:
    """GET /v1/models/{name}: raise Refused where it could not be asked."""
    with _naming(api, name):
        api.get("v1", "models", pinned(name, version))


def named(api: Api) -> Iterator[str]:
    """GET /v1/models: the names that can be asked."""
    for card in api.get("v1", "models")["data"]:
        yield card["id"]


class _naming:
    """A workload that does not exist is told with the nearest names.

    Of a version that may not be asked the service says itself why, and which there are.
    """

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Refused) and error.code == "model_not_found":
            known = list(named(self._api))
            if self._name not in known:
                where = "headrace models list"
                raise unknown("workload", self._name, known, where=where) from None


def _body(
    name: str, version: str | None, turns: Sequence[Turn], max_tokens: int | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"model": pinned(name, version), "messages": list(turns)}
    return body if max_tokens is None else {**body, "max_tokens": max_tokens}


def _headers(key: str | None) -> dict[str, str]:
    # Sampled: who asks by hand wants to see the trace, however few of all are recorded.
    trace = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
    return trace if key is None else {**trace, "x-headrace-key": key}


def _reply(reply: Reply, name: str, text: str, headers: Mapping[str, str], started: float) -> Reply:
    version = headers.get("x-headrace-model-version", "")
    trace_id = headers.get("x-headrace-trace-id", "")
    return replace(
        reply,
        model=pinned(name, version or None),
        version=version,
        arm=headers.get("x-headrace-arm", ""),
        text=text,
        latency_ms=round((time.monotonic() - started) * 1000, 1),
        request_id=headers.get("x-headrace-request-id", ""),
        trace_id=trace_id,
        trace_url=_trace_url(trace_id),
    )


def _trace_url(trace_id: str) -> str | None:
    """Where MLflow shows the trace; of a stack somewhere else only its own people know."""
    state = live_state(default_home())
    if not trace_id or state is None or not state.traces:
        return None
    return f"{state.traces}?selectedEvaluationId=tr-{trace_id}"
