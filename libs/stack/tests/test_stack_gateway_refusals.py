"""Conformance, a stack's gateway and production's: what it says itself is JSON, and true."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from headrace_stack.gateway.testing import (
    KINDS,
    bench_of,
    echo,
    layout_of,
    request,
    running,
)
from headrace_stack.ports import HOST, free_port

MIB = 1 << 20
SECRET = "Ilse-Mustermann-8121"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def _error(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    assert answer.content_type == "application/json"
    error: dict[str, Any] = (await answer.json())["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    return error


async def test_a_service_that_is_down_is_named(kind: str, tmp_path: Path) -> None:
    folder, port = tmp_path, free_port()
    layout = layout_of(kind, port, free_port(), folder)
    fewer = {name: target for name, target in layout.targets.items() if name != "trainer"}
    layout = dataclasses.replace(layout, targets=fewer)
    async with running(layout, folder, port) as log, aiohttp.ClientSession() as session:
        for method, path, service in (
            ("GET", "/v1/fine_tuning/jobs", "trainer"),  # not part of this gateway
            ("POST", f"/v1/files?q={SECRET}", "ingest"),
            ("POST", f"/v1/chat/completions?q={SECRET}", "serving"),
        ):
            url = f"http://{HOST}:{port}{path}"
            async with session.request(method, url, data=SECRET * 999) as answer:
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) >= 1
                error = await _error(answer)
                assert error["service"] == service
                assert f"`{service}`" in error["message"]
        async with asyncio.timeout(10):
            while '"serving"' not in log.read_text():  # noqa: ASYNC110 - a file sets no event
                await asyncio.sleep(0.05)
    written = log.read_text()
    assert SECRET not in written
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    assert {line["service"] for line in lines} == {"trainer", "ingest", "serving"}
    assert {line["status"] for line in lines} == {503}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nbroken\x00: x\r\n\r\n", 400),
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (request("TRACE", "/"), 405),
        (request("GET", "/" + "x" * 20_000), 414),
        (request("GET", "/", "X-Big: " + "x" * 20_000), 431),
        (request("GET", "/", "Transfer-Encoding: gzip"), 501),
        (request("POST", "/v1/chat/completions", f"Content-Length: {17 * MIB}"), 413),
        (request("POST", "/v1/files", f"Content-Length: {300 * MIB}"), 413),
        (request("GET", "/", host="evil.example"), 421),
        (request("GET", "/", host="evil.example:80"), 421),
        (request("GET", "/", host="127.0.0.1.evil.example"), 421),
        (request("GET", "http://evil.example/"), 421),
        (b"GET / HTTP/1.0\r\n\r\n", 421),
        (request("POST", "/", "Origin: http://evil.example"), 403),
        (request("POST", "/", "Origin: null"), 403),
        (request("GET", "/", "Origin: http://127.0.0.1:2"), 403),
        (request("GET", "/", "Origin: http://127.0.0.1:1.evil.example"), 403),
    ],
)
async def test_what_the_gateway_refuses_is_json(
    kind: str, tmp_path: Path, sent: bytes, status: int
) -> None:
    async with bench_of(kind, tmp_path, echo) as bench:
        reader, writer = await asyncio.open_connection(HOST, bench.port)
        writer.write(sent)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.split()[1] == str(status).encode()
        assert b"content-type: application/json\r\n" in head.lower()
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if not sent.startswith(b"HEAD"):
            error = json.loads(await reader.readexactly(length))["error"]
            assert {"message", "type", "param", "code"} <= set(error)
        writer.close()
        assert bench.service.asked == [], "the service saw nothing of it"


async def test_a_body_without_a_length_is_bounded_too(kind: str, tmp_path: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * MIB
            await asyncio.sleep(0)

    async with bench_of(kind, tmp_path, echo) as bench, aiohttp.ClientSession() as session:
        try:
            async with session.post(f"{bench.base}/v1/feedback", data=body()) as answer:
                assert answer.status == 413
        except aiohttp.ClientError:
            pass  # cut while it was still sending
        assert all(asked.body <= 17 * MIB for asked in bench.service.asked)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:1", ""),
        ("LOCALHOST:1", "http://localhost:1"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:1", "http://[::1]:1"),
        ("127.0.0.1:1", "https://127.0.0.1:1"),  # TLS may end before the gateway
    ],
)
async def test_own_names_and_own_pages_are_let_in(
    kind: str, tmp_path: Path, host: str, origin: str
) -> None:
    headers = ("Connection: close", *([f"Origin: {origin}"] if origin else []))
    async with bench_of(kind, tmp_path, echo) as bench:
        got = await bench.raw(request("GET", "/", *headers, host=host))
    assert got.startswith(b"HTTP/1.1 200"), got


async def test_a_deployment_adds_names_of_its_own(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Production by a file beside the configuration, a stack by a variable."""
    monkeypatch.setenv("HEADRACE_GATEWAY_HOSTS", "gateway.example.org, *.internal")
    async with bench_of(kind, tmp_path, echo) as bench:
        for host in ("gateway.example.org", "gateway.example.org:443"):
            origin = f"Origin: https://{host}"
            got = await bench.raw(request("GET", "/", origin, "Connection: close", host=host))
            assert got.startswith(b"HTTP/1.1 200"), got


async def test_the_gateway_tells_its_own_health(kind: str, tmp_path: Path) -> None:
    async with bench_of(kind, tmp_path, echo) as bench, aiohttp.ClientSession() as session:
        async with session.get(f"{bench.base}/gateway/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "alive"})
        async with session.get(f"{bench.base}/metrics") as answer:
            # In production the services' metrics are nobody's from outside.
            assert answer.status == (404 if kind == "production" else 200)
