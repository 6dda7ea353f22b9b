"""Conformance, a stack's gateway and production's: every message comes through as it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from headrace_stack.gateway.testing import (
    KINDS,
    Asked,
    bench_of,
    echo,
    request,
)
from headrace_stack.ports import HOST

MIB = 1 << 20


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")],
)
async def test_answers_without_a_body_one_after_another(
    kind: str, tmp_path: Path, method: str, status: str
) -> None:
    """The second one stopped the gateway before, and the supervisor with it."""

    async def bodiless(asked: Asked) -> None:
        length = "content-length: 1000\r\n" if asked.method == "HEAD" else ""
        await asked.send(f'HTTP/1.1 {status}\r\netag: "x"\r\n{length}\r\n'.encode())

    async with bench_of(kind, tmp_path, bodiless) as bench, aiohttp.ClientSession() as session:
        for _ in range(20):
            async with session.request(method, f"{bench.base}/console/x") as answer:
                assert answer.status == int(status[:3])
                assert answer.headers["etag"] == '"x"'
                assert await answer.read() == b""
    # All on one connection: nothing of a body was left on it.
    assert bench.service.connections == 20


async def test_a_request_comes_through_unchanged(kind: str, tmp_path: Path) -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    async with bench_of(kind, tmp_path, echo) as bench:
        sent = request(
            "PUT", "/v1/files/a%2Fb%20c?x=1&x=2&q=%C5%B1", f"traceparent: {trace}",
            "Content-Length: 3", "Connection: close",
        ) + b"abc"  # fmt: skip
        head, _, body = (await bench.raw(sent)).partition(b"\r\n\r\n")
    assert b"x-answer: yes" in head
    seen = json.loads(body)
    # A name with a slash inside must not become two segments on the way.
    assert seen["path"] == "/v1/files/a%2Fb%20c?x=1&x=2&q=%C5%B1"
    assert (seen["method"], seen["text"]) == ("PUT", "abc")
    assert seen["headers"]["traceparent"] == trace
    assert seen["headers"]["host"] == f"{HOST}:1"
    assert seen["headers"]["x-forwarded-host"] == f"{HOST}:1"
    assert seen["headers"]["x-forwarded-proto"] == "http"


async def test_chunks_both_ways(kind: str, tmp_path: Path) -> None:
    """Piece by piece: each is made only when the other side has the one before."""
    got = asyncio.Event()

    async def talk(asked: Asked) -> None:
        pieces = asked.pieces()
        assert await anext(pieces) == b"one"
        await asked.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nONE\r\n")
        await asyncio.wait_for(got.wait(), 10)
        assert await anext(pieces) == b"two"
        async for _ in pieces:
            pass
        await asked.send(b"3\r\nTWO\r\n0\r\n\r\n")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.wait_for(got.wait(), 10)
        yield b"two"

    async with (
        bench_of(kind, tmp_path, talk) as bench,
        aiohttp.ClientSession() as session,
        session.post(f"{bench.base}/v1/files", data=pieces()) as answer,
    ):
        assert await answer.content.readexactly(3) == b"ONE"
        got.set()
        assert await answer.content.read() == b"TWO"


async def test_100_mb_up_and_down_with_a_slow_reader(kind: str, tmp_path: Path) -> None:
    size = 100 * MIB

    async def large(asked: Asked) -> None:
        await asked.read_all()
        await asked.send(
            f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\nx-got: {asked.body}\r\n\r\n".encode()
        )
        for _ in range(100):
            await asked.send(b"z" * MIB)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"a" * MIB

    async with (
        bench_of(kind, tmp_path, large) as bench,
        aiohttp.ClientSession() as session,
        session.post(f"{bench.base}/v1/files", data=body()) as answer,
    ):
        assert answer.headers["x-got"] == str(size)
        total = 0
        async for piece in answer.content.iter_chunked(MIB):
            if total < 5 * MIB:
                await asyncio.sleep(0.1)
            total += len(piece)
    assert total == size


async def test_an_answer_is_streamed_piece_by_piece(kind: str, tmp_path: Path) -> None:
    received = asyncio.Event()

    async def stream(asked: Asked) -> None:
        await asked.read_all()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        await asked.send(head + b"transfer-encoding: chunked\r\n\r\nb\r\ndata: one\n\n\r\n")
        # The second piece is made only when the caller has the first.
        await asyncio.wait_for(received.wait(), 10)
        await asked.send(b"b\r\ndata: two\n\n\r\n0\r\n\r\n")

    async with (
        bench_of(kind, tmp_path, stream) as bench,
        aiohttp.ClientSession() as session,
        session.post(f"{bench.base}/v1/chat/completions", json={"stream": True}) as answer,
    ):
        assert answer.content_type == "text/event-stream"
        assert await answer.content.readuntil(b"\n\n") == b"data: one\n\n"
        received.set()
        assert await answer.content.read() == b"data: two\n\n"


async def test_100_continue_and_trailers(kind: str, tmp_path: Path) -> None:
    async def trailers(asked: Asked) -> None:
        await asked.read_all()
        await asked.send(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n",
            b"2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n",
        )

    async with bench_of(kind, tmp_path, trailers) as bench:
        reader, writer = await asyncio.open_connection(HOST, bench.port)
        writer.write(request("POST", "/policies", "Content-Length: 2", "Expect: 100-continue"))
        first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert first.startswith(b"HTTP/1.1 100")
        writer.write(b"hi")
        assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10) == b"2\r\nok\r\n0\r\n\r\n"
        # Trailers of a request are read and let go, and the connection goes on.
        writer.write(request("POST", "/policies", "Transfer-Encoding: chunked", "Trailer: x-sum"))
        writer.write(b"2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n")
        assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)
        writer.close()
