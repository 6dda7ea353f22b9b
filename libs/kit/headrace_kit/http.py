"""The HTTP side of the chassis: health, metrics, spans, and one way to answer errors."""

import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import SpanKind
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace_kit import build, telemetry
from headrace_kit.body_limits import BodyLimits, LimitBody
from headrace_kit.http_answers import AnswerHead, AnswerUnhandled, RelativeRedirects
from headrace_kit.metrics import HTTP_REQUESTS, HTTP_SECONDS
from headrace_kit.openapi import document_errors
from headrace_kit.problems import answer_http, answer_invalid, problem
from headrace_kit.settings import Http

# Asked every few seconds by machines: a span of each would drown the others.
_UNTRACED = ("/healthz", "/readyz", "/metrics", "/version", "/console", "/metrics-api")
_SERVER_ERROR = 500
_READINESS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}},
    503: {
        "description": "Not ready: `checks` says which part",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
}
# It traces probes too, and logs the messages of unhandled errors, which may quote what users sent.
_NO_TELEMETRY_OF_ITS_OWN = TelemetryConfig(
    tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False
)


class TraceRequests:
    """ASGI middleware: one SERVER span and two metrics per request, streams included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on inside its span."""
        if scope["type"] != "http" or scope["path"].startswith(_UNTRACED):
            await self._app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        status = _SERVER_ERROR
        started = time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with telemetry.span(
            f"{scope['method']} {scope['path']}",
            kind=SpanKind.SERVER,
            parent=telemetry.context_of(headers.get("traceparent"), headers.get("tracestate")),
            attributes={"http.request.method": scope["method"]},
        ) as opened:
            try:
                await self._app(scope, receive, watch)
            finally:
                # The route's template, not the path: ids in label values would never end.
                route = getattr(scope.get("route"), "path", "unmatched")
                opened.update_name(f"{scope['method']} {route}")
                opened.set_attributes({"http.route": route, "http.response.status_code": status})
                HTTP_REQUESTS.labels(scope["method"], route, str(status)).inc()
                HTTP_SECONDS.labels(route).observe(time.perf_counter() - started)


class RefuseWhenDraining:
    """ASGI middleware: a process that is about to stop takes no new work."""

    def __init__(self, app: ASGIApp, draining: Callable[[], bool]) -> None:
        self._app = app
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503 instead of beginning what may not end."""
        if scope["type"] != "http" or not self._draining() or scope["path"].startswith(_UNTRACED):
            await self._app(scope, receive, send)
            return
        answer = problem(
            503,
            "this replica is stopping: send the request again",
            code="draining",
            headers={"retry-after": "1", "connection": "close"},
        )
        await answer(scope, receive, send)


def make_api(
    service: str,
    version: str,
    ready: Callable[[], dict[str, bool]],
    draining: Callable[[], bool],
    lifespan: Any,
    details: Callable[[], dict[str, Any]] = dict,
    body_limits: BodyLimits | None = None,
) -> FastAPI:
    """Make the service's FastAPI app with what every service answers."""
    commit = build.commit()  # of the code that runs, not of what a checkout holds later
    api = FastAPI(
        title=f"headrace-{service}",
        version=version,
        lifespan=lifespan,
        telemetry=_NO_TELEMETRY_OF_ITS_OWN,
    )
    # The one that is added last sees a request first.
    api.add_middleware(LimitBody, limits=body_limits or BodyLimits(Http().max_body_bytes))
    api.add_middleware(RelativeRedirects)
    api.add_middleware(AnswerHead)
    api.add_middleware(AnswerUnhandled)
    api.add_middleware(RefuseWhenDraining, draining=draining)
    api.add_middleware(TraceRequests)
    api.add_exception_handler(HTTPException, answer_http)
    api.add_exception_handler(RequestValidationError, answer_invalid)
    document_errors(api)

    @api.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """Say that the process lives."""
        return {"status": "alive"}

    @api.get("/readyz", tags=["health"], responses=_READINESS)
    async def readyz() -> JSONResponse:
        """Say whether the service can do its work, and which part cannot."""
        checks = ready()
        return JSONResponse(
            {"ready": all(checks.values()), "checks": checks, **details()},
            status_code=200 if all(checks.values()) else 503,
        )

    @api.get("/version", tags=["health"])
    async def about() -> dict[str, str]:
        """Return the service's name, version, and commit where that is known."""
        return {"service": service, "version": version, "commit": commit}

    @api.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Return Prometheus metrics."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return api
