"""Errors as OpenAI shapes them, and which of them an ending is."""

import re
from collections.abc import Mapping, Sequence

from fastapi.responses import JSONResponse

from headrace_kit.problems import problem
from headrace_serving.core.ending import Code, Ending

# status, type, seconds after which to try again, parameter
_SHAPES: dict[Code, tuple[int, str, int | None, str | None]] = {
    "cancelled": (499, "invalid_request_error", None, None),
    "content_filter": (400, "invalid_request_error", None, "messages"),
    "context_length_exceeded": (400, "invalid_request_error", None, "messages"),
    "deadline_exceeded": (504, "server_error", None, None),
    "engine_unavailable": (503, "server_error", 2, None),
    "model_not_found": (404, "invalid_request_error", None, "model"),
    "guardrails_unavailable": (503, "server_error", 2, None),
    "model_unavailable": (503, "server_error", 2, None),
    "overloaded": (503, "server_error", 2, None),
    "rate_limit_exceeded": (429, "rate_limit_error", 1, None),
    "request_too_large": (400, "invalid_request_error", None, "messages"),
    "unknown_workload": (404, "invalid_request_error", None, "model"),
}
_KNOWN_NAMED = 20
_NAME = re.compile(r"[A-Za-z0-9._:/-]{1,100}")


class ApiError(Exception):
    """An error as OpenAI shapes it; the message never quotes what users sent."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        kind: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.kind = kind
        self.param = param
        self.headers = dict(headers or {})

    def response(self, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """The error as an answer."""
        return problem(
            self.status,
            self.message,
            param=self.param,
            code=self.code,
            kind=self.kind,
            headers={**(headers or {}), **self.headers},
        )


def api_error(ending: Ending) -> ApiError:
    """The error of an ending; a deadline that has passed is not tried again."""
    status, kind, retry_after, param = _SHAPES[ending.code]
    headers = {"retry-after": str(retry_after)} if retry_after else {}
    if ending.code == "deadline_exceeded":
        # What the `openai` package heeds: it would try any status from 500 on again.
        headers["x-should-retry"] = "false"
    message = ending.detail
    if ending.code == "content_filter":
        message = f"the request was refused by {ending.detail}"
    return ApiError(status, message, code=ending.code, kind=kind, param=param, headers=headers)


def no_such_model(name: str, known: Sequence[str]) -> ApiError:
    """404: no workload of this name."""
    some = ", ".join(known[:_KNOWN_NAMED]) or "none yet"
    more = ", …" if len(known) > _KNOWN_NAMED else ""
    # Only what could be a name is shown again: the rest is text that somebody sent.
    named = f" {name!r}" if _NAME.fullmatch(name) else " of this name"
    return ApiError(
        404,
        f"there is no workload{named}; known: {some}{more}. "
        "Apply its manifest with `headrace apply`",
        code="model_not_found",
        param="model",
    )
