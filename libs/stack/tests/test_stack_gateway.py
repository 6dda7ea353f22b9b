"""The gateway: who owns which path, streams not held back, clear words when one is down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from headrace_stack.errors import StackError
from headrace_stack.gateway import Gateway
from headrace_stack.ports import HOST, free_port
from headrace_stack.services import SERVICES, owner_of


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/v1/files", "ingest"),
        ("/v1/files/abc/content", "ingest"),
        ("/v1/feedback", "ingest"),
        ("/sources", "ingest"),
        ("/datasets/python-docs/1", "data-quality"),
        ("/v1/fine_tuning/jobs", "trainer"),
        ("/models/python-docs", "registry"),
        ("/lineage/python-docs/1", "registry"),
        ("/evaluations", "evaluator"),
        ("/v1/chat/completions", "serving"),
        ("/v1/completions", "serving"),
        ("/v1/models", "serving"),
        ("/rollouts", "serving"),
        ("/v1/moderations", "guardrails"),
        ("/policies", "guardrails"),
        ("/", "monitor"),
        ("/alerts", "monitor"),
        ("/modelsandmore", "monitor"),
        ("/v1/filesystem", "monitor"),
    ],
)
def test_routes(path: str, owner: str) -> None:
    assert owner_of(path) == owner


def test_every_service_has_a_route_of_its_own() -> None:
    routes = [route for service in SERVICES for route in service.routes]
    assert len(routes) == len(set(routes))
    assert all(service.routes for service in SERVICES)


async def test_request_and_answer_go_through_unchanged() -> None:
    async def echo(request: web.Request) -> web.Response:
        seen = {
            "path": request.raw_path,
            "body": await request.text(),
            "traceparent": request.headers.get("traceparent"),
            "forwarded": request.headers.get("X-Forwarded-Host"),
            "method": request.method,
        }
        return web.json_response(seen, status=201, headers={"x-request-id": "r1"})

    async with _served(echo) as base, aiohttp.ClientSession() as session:
        headers = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}
        # A name with a slash inside must not become two segments on the way.
        path = "/v1/files/a%2Fb?x=1&x=2"
        url = URL(base + path, encoded=True)
        async with session.put(url, data="body" * 50_000, headers=headers) as answer:
            assert answer.status == 201
            assert answer.headers["x-request-id"] == "r1"
            seen = await answer.json()
    assert seen["path"] == path
    assert seen["body"] == "body" * 50_000
    assert seen["traceparent"] == headers["traceparent"]
    assert seen["forwarded"] == base.removeprefix("http://")
    assert seen["method"] == "PUT"


async def test_stream_is_passed_on_piece_by_piece() -> None:
    received = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        # The second piece is made only when the client has the first.
        await asyncio.wait_for(received.wait(), 10)
        await response.write(b"data: two\n\n")
        return response

    async with (
        _served(stream) as base,
        aiohttp.ClientSession() as session,
        session.post(f"{base}/v1/chat/completions") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert await answer.content.readuntil(b"\n\n") == b"data: one\n\n"
        received.set()
        assert await answer.content.read() == b"data: two\n\n"


async def test_service_that_is_down_gives_503_with_retry_after() -> None:
    nothing_listens = f"http://{HOST}:{free_port()}"
    for url in (None, nothing_listens):
        async with (
            _gateway("trainer", url) as base,
            aiohttp.ClientSession() as session,
            session.get(f"{base}/v1/fine_tuning/jobs") as answer,
        ):
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 1
            error = (await answer.json())["error"]
        assert error["service"] == "trainer"
        assert "headrace logs trainer" in error["message"]


async def test_service_that_breaks_off_gives_502() -> None:
    async def break_off(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with (
        _served(break_off) as base,
        aiohttp.ClientSession() as session,
        session.get(f"{base}/models") as answer,
    ):
        assert answer.status == 502
        assert "Retry-After" in answer.headers


async def test_broken_stream_does_not_look_complete() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(0.1)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with _served(half) as base, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.get(f"{base}/models") as answer:
                await answer.read()


async def test_port_in_use_is_a_clear_error() -> None:
    async with _gateway("monitor", None) as base:
        port = int(base.rsplit(":", 1)[1])
        with pytest.raises(StackError, match=f"Port {port} .* is in use"):
            await Gateway(lambda _path: ("monitor", None)).start(port)


@asynccontextmanager
async def _gateway(name: str, url: str | None) -> AsyncIterator[str]:
    gateway, port = Gateway(lambda _path: (name, url)), free_port()
    await gateway.start(port)
    try:
        yield f"http://{HOST}:{port}"
    finally:
        await gateway.stop()


@asynccontextmanager
async def _served(handler: Any) -> AsyncIterator[str]:
    """A gateway in front of a real server with one handler; the gateway's base URL."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", handler)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    try:
        async with _gateway("service", f"http://{HOST}:{port}") as base:
            yield base
    finally:
        await runner.cleanup()
