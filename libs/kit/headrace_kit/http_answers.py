"""ASGI middlewares: what holds for every answer, whichever route made it."""

import structlog
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace_kit.problems import problem

_LOG = structlog.get_logger(__name__)
_REDIRECTS = range(300, 400)


class AnswerBrokenOff(Exception):
    """The head of an answer was sent, and then its making failed."""


class AnswerUnhandled:
    """An error that nobody handled is a JSON 500, and the connection goes on.

    The server would answer in plain text, and log the message of the error, which may quote a user.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raise AnswerBrokenOff where it is too late for another answer: the server then cuts."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:  # noqa: BLE001 - whatever it was, it is answered
            name = type(error).__name__
            route = getattr(scope.get("route"), "path", "unmatched")
            _LOG.error("unhandled error", route=route, exc_info=error)
            trace.get_current_span().set_status(Status(StatusCode.ERROR, name))
            if started:
                raise AnswerBrokenOff(name) from None
            answer = problem(
                500, "An error inside the service: its log says where.", code="internal_error"
            )
            await answer(scope, receive, send)


class _BodyNotWanted(Exception):
    """Ends the making of a body of which HEAD wants the head only."""


class AnswerHead:
    """HEAD wherever GET is: the same head, no body (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run GET, and end it with its head: a stream would never end by itself."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        headed = False

        async def head(message: Message) -> None:
            nonlocal headed
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                headed = True
            elif headed and message.get("more_body"):
                raise _BodyNotWanted

        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, head)
        except _BodyNotWanted:
            return
        finally:
            if "route" in inner:
                scope["route"] = inner["route"]  # for the span


class RelativeRedirects:
    """A redirect to a path of this service names the path only (RFC 9110, 10.2.2).

    Which scheme, host and port a caller used, only the proxies in front know.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Shorten Location where it names the host that was asked."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own = f"{scope['scheme']}://{Headers(scope=scope).get('host', '')}"

        async def shorten(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _REDIRECTS:
                headers = MutableHeaders(raw=message["headers"])
                path = headers.get("location", "").removeprefix(own)
                # `//x` alone would name the host x.
                if path.startswith("/") and not path.startswith(("//", "/\\")):
                    headers["location"] = path
            await send(message)

        await self._app(scope, receive, shorten)
