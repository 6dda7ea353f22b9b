"""One base URL for all services: a reverse proxy that streams and says clearly who is down."""

from collections.abc import Callable, Mapping

import aiohttp
from aiohttp import web

from headrace_stack.errors import StackError
from headrace_stack.ports import HOST

RETRY_AFTER_SECONDS = 2
CONNECT_SECONDS = 3.0
CHUNK = 64 * 1024
# RFC 9110, 7.6.1: these belong to one connection, not to the message.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

Target = Callable[[str], tuple[str, str | None]]
"""From a path to the service's name and, where it runs, its URL."""


class Gateway:
    """The proxy; `target` is asked anew for each request, as services come and go."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        """Listen on `port` of the loopback."""
        self._session = aiohttp.ClientSession(
            # No limit on the whole: a streamed answer may take minutes.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port).start()
        except OSError as error:
            await self.stop()
            raise StackError(
                f"Port {port} for the base URL is in use by another program. Stop that program, "
                "or choose another with --port or HEADRACE_PORT."
            ) from error

    async def stop(self) -> None:
        """Close the port and the connections to the services."""
        if self._runner:
            await self._runner.cleanup()
        if self._session:
            await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        name, url = self._target(request.path)
        if url is None:
            return _unavailable(503, name, "is not running; it is being started again")
        assert self._session is not None  # noqa: S101 - set by start
        try:
            upstream = await self._session.request(
                request.method,
                url + request.raw_path,
                headers=_forwarded(request),
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
            return _unavailable(503, name, "does not accept connections; it may be restarting")
        except aiohttp.ClientError:
            return _unavailable(502, name, "broke off before it answered")
        async with upstream:
            return await _relay(request, upstream)


async def _relay(request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
    for name, value in upstream.headers.items():
        if name.lower() not in HOP_BY_HOP:
            response.headers.add(name, value)
    await response.prepare(request)
    try:
        # Whatever has arrived goes out at once: a token of a stream must not wait for the next.
        async for chunk, _ in upstream.content.iter_chunks():
            await response.write(chunk)
    except aiohttp.ClientError:
        # The head is out already: cutting the connection is the only way to say "incomplete".
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _forwarded(request: web.Request) -> Mapping[str, str]:
    headers = request.headers.copy()
    for name in HOP_BY_HOP | {"host"}:
        headers.popall(name, None)
    headers["X-Forwarded-For"] = request.remote or HOST
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Proto"] = request.scheme
    return headers


def _unavailable(status: int, service: str, what: str) -> web.Response:
    error = {
        "message": f"The service `{service}` {what}. Try again in {RETRY_AFTER_SECONDS} s, "
        f"or see `headrace status` and `headrace logs {service}`.",
        "type": "service_unavailable",
        "param": None,
        "code": "service_unavailable",
        "service": service,
    }
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return web.json_response({"error": error}, status=status, headers=headers)
