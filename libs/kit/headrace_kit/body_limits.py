"""How much one HTTP request may hold: more is refused before it is read, parsed or spooled."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace_kit.problems import problem

_TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
# Bytes of a refused body that are read and thrown away: a server that answers and closes while the
# body still comes resets the connection, and client or proxy sees that instead of the answer. As
# much as the gateway lets through; of more nothing is read.
_MOST_DRAINED = 16 * 1024 * 1024


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
        headers = Headers(scope=scope)
        declared = _declared(headers)
        if declared > limit:
            # A client that asks first ("expect: 100-continue") has not begun to send.
            if declared <= _MOST_DRAINED and "expect" not in headers:
                await _drain(receive)
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


def _declared(headers: Headers) -> int:
    """The body's length as its sender has it, 0 where he does not say."""
    declared = headers.get("content-length", "")
    return int(declared[:20]) if declared.isdecimal() else 0


async def _drain(receive: Receive) -> None:
    """Read the body to its end, piece by piece; keep nothing."""
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


def _words(limit: int) -> str:
    return f"the body has more than {limit} bytes, the most that this path takes"
