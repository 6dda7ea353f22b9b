"""How much one HTTP request may hold: more is refused before it is read, parsed or spooled."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace_kit.problems import problem

_TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class BodyLimits:
    """The largest body of a request in bytes: one for all paths, and those of a few."""

    def __init__(self, default: int) -> None:
        self._default = default
        self._by_path: dict[str, int] = {}

    def allow(self, path: str, limit: int) -> None:
        """Let requests to exactly this path have so many bytes."""
        self._by_path[path] = limit

    def of(self, path: str) -> int:
        """Return the limit of a path."""
        return self._by_path.get(path, self._default)


class LimitBody:
    """ASGI middleware: 413 for a body over its path's limit, 400 for a target with a zero in it."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the declared length first, then count what comes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            # PostgreSQL has no text with it: a query for it would be a 500.
            answer = problem(HTTPStatus.BAD_REQUEST, "the path or the query holds a binary zero")
            await answer(scope, receive, send)
            return
        limit = self._limits.of(scope["path"])
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > limit:
            answer = problem(
                _TOO_LARGE, _words(limit), code="body_too_large", headers={"connection": "close"}
            )
            await answer(scope, receive, send)
            return
        seen = 0

        async def count() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise HTTPException(_TOO_LARGE, _words(limit), {"connection": "close"})
            return message

        await self._app(scope, count, send)


def _words(limit: int) -> str:
    return f"the body has more than {limit} bytes, the most that this path takes"
