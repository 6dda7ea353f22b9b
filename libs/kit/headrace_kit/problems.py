"""The one shape of an error over HTTP: OpenAI's `{"error": {message, type, param, code}}`.

A message is for the person who sent the request and never quotes what was sent: answers are logged
by callers.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

_SERVER_ERROR = 500
_MOST_FIELDS = 20
"""A body of 10,000 wrong rows has 10,000 faults; the first ones are enough to mend it."""
_LONGEST_NAME = 100
"""Characters of a field's name, which may be one that the caller invented."""
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_WORDS = {
    404: "there is no such path",
    405: "this path does not take that method: the header Allow names those it takes",
}
# Pydantic's words for these name only what the schema wants, never what was sent.
_PLAIN = ("missing", "enum", "literal_error", "extra_forbidden", "string_too_long",
          "string_too_short", "too_long", "too_short", "greater_than", "greater_than_equal",
          "less_than", "less_than_equal", "finite_number", "multiple_of")  # fmt: skip
# Of the rest, pydantic's words hold a pattern, or what somebody else's code says of what was sent;
# the code is in `fields`.
_SENTENCES = {
    "string_pattern_mismatch": "it holds characters, or has a form, that it may not have",
    "json_invalid": "it is no JSON",
    "timezone_aware": "it needs a time zone, as in 2026-11-26T14:00:00Z",
    "union_tag_invalid": "it is none of the kinds that there are",
    "union_tag_not_found": "it does not say of which kind it is",
    "string_unicode": "it holds half of a surrogate pair (half an emoji)",
}
_WHERE = ("body", "query", "path", "header", "cookie")


class ErrorDetail(BaseModel):
    """What was wrong. `param` is the field to mend, `code` a word for programs."""

    model_config = ConfigDict(extra="allow")

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer with a status of 400 or more."""

    error: ErrorDetail


def problem(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    """Return an error as an answer; `type` and `code` follow from the status unless given."""
    server = status >= _SERVER_ERROR
    error = {
        "message": message,
        "type": kind or _TYPES.get(status, "server_error" if server else "invalid_request_error"),
        "param": param,
        "code": code or HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_"),
        **more,
    }
    return JSONResponse({"error": error}, status_code=status, headers=headers)


async def answer_http(_request: Request, error: Exception) -> JSONResponse:
    """Answer an HTTPException, also the framework's own (404, 405, a body that is no JSON)."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    status, words = error.status_code, error.detail
    if words == HTTPStatus(status).phrase:
        words = _WORDS.get(status, words)
    headers = dict(error.headers or {})
    allowed = headers.get("Allow", "").split(", ")
    if "GET" in allowed:
        headers["Allow"] = ", ".join(sorted({*allowed, "HEAD"}))
    return problem(status, words, headers=headers)


async def answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    """Answer a request that does not fit its schema: 400, as OpenAI does."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    found = error.errors()
    fields = [{"field": _field(e["loc"]), "problem": e["type"]} for e in found[:_MOST_FIELDS]]
    listed = ", ".join(
        f"{field['field'] or 'the body'} ({_words(e)})"
        for field, e in zip(fields, found, strict=False)
    )
    more = len(found) - len(fields)
    return problem(
        HTTPStatus.BAD_REQUEST,
        f"The request does not fit: {listed}{f', and {more} more' if more > 0 else ''}",
        param=(fields[0]["field"] or None) if fields else None,
        code="invalid_request",
        fields=fields,
    )


def _field(location: tuple[int | str, ...]) -> str:
    """The name as the caller knows it; of a body that is no JSON pydantic gives a position."""
    parts = location[1:] if location and location[0] in _WHERE else location
    if len(parts) == 1 and isinstance(parts[0], int):
        return ""
    return ".".join(str(part) for part in parts)[:_LONGEST_NAME]


def _words(error: dict[str, Any]) -> str:
    kind = str(error["type"])
    plain = kind in _PLAIN or kind.endswith(("_type", "_parsing"))
    if plain:
        # A parser's message may end with the parser's own words about what it read.
        return str(error["msg"]).split(",")[0]
    return _SENTENCES.get(kind, "it does not have the form that the documentation gives")
