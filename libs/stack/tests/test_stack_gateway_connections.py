"""Conformance, a stack's gateway and production's: whatever a connection does, others go on."""

import asyncio
import json
import time
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


async def test_pipelined_requests_are_answered_in_order(kind: str, tmp_path: Path) -> None:
    async with bench_of(kind, tmp_path, echo) as bench:
        sent = b"".join(
            request("POST", f"/sources/{n}", "Content-Length: 1") + str(n).encode()
            for n in range(9)
        )
        got = await bench.raw(sent + request("GET", "/sources/9", "Connection: close"))
    assert [f"/sources/{n}" for n in range(10)] == [
        json.loads(part[part.index(b"{") : part.rindex(b"}") + 1])["path"]
        for part in got.split(b"HTTP/1.1 200 OK")[1:]
    ]


async def test_after_a_500_that_closes_the_next_post_is_answered(kind: str, tmp_path: Path) -> None:
    """15 of 30 were 502: the connection that the service had closed was taken again."""

    async def failing(asked: Asked) -> None:
        await asked.read_all()
        if asked.path.endswith("broken"):
            await asked.answer(b"{}", "500 Internal Server Error")
            return  # and closes without having said so
        await asked.answer(b"{}")

    async with bench_of(kind, tmp_path, failing) as bench, aiohttp.ClientSession() as session:
        for _ in range(60):
            async with session.post(f"{bench.base}/v1/feedback/broken", data=b"x") as answer:
                assert answer.status == 500
            async with session.post(f"{bench.base}/v1/feedback", data=b"x") as answer:
                assert answer.status == 200
    assert len(bench.service.asked) == 120, "each was sent once"


async def test_an_answer_before_the_body_was_read_does_no_harm(kind: str, tmp_path: Path) -> None:
    async def early(asked: Asked) -> None:
        if asked.path == "/v1/files":
            await asked.answer(b"too large", "413 Content Too Large", "connection: close")
            await asked.read_all()  # as a server does that closes in order
            return
        await echo(asked)

    async with bench_of(kind, tmp_path, early) as bench, aiohttp.ClientSession() as session:
        for _ in range(10):
            async with session.post(f"{bench.base}/v1/files", data=b"x" * 5 * MIB) as answer:
                assert (answer.status, await answer.read()) == (413, b"too large")
            async with session.post(f"{bench.base}/v1/feedback", data=b"x") as answer:
                assert answer.status == 200


async def test_a_request_is_never_sent_twice(kind: str, tmp_path: Path) -> None:
    async def breaks_off(asked: Asked) -> None:
        await asked.read_all()

    async with bench_of(kind, tmp_path, breaks_off) as bench, aiohttp.ClientSession() as session:
        for method in ("GET", "POST"):
            async with session.request(method, f"{bench.base}/models") as answer:
                assert answer.status == 502
                error = (await answer.json())["error"]
                assert (error["service"], error["code"]) == ("registry", "bad_gateway")
    assert [asked.method for asked in bench.service.asked] == ["GET", "POST"]


async def test_an_answer_that_breaks_off_does_not_look_complete(kind: str, tmp_path: Path) -> None:
    async def half(asked: Asked) -> None:
        framing = "transfer-encoding: chunked" if "chunked" in asked.path else "content-length: 99"
        await asked.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode(), b"4\r\nhalf\r\n")
        await asyncio.sleep(0.1)

    async with bench_of(kind, tmp_path, half) as bench, aiohttp.ClientSession() as session:
        for path in ("/models/chunked", "/models/sized"):
            with pytest.raises(aiohttp.ClientError):
                async with session.get(bench.base + path) as answer:
                    await answer.read()


@pytest.mark.parametrize("when", ["in the request", "in the answer"])
async def test_the_service_hears_that_a_caller_went_away(
    kind: str, tmp_path: Path, when: str
) -> None:
    async def endless(asked: Asked) -> None:
        if when == "in the request":
            await asked.read_all()
        await asked.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await asked.send(b"2\r\nhi\r\n")
            await asyncio.sleep(0.01)

    async with bench_of(kind, tmp_path, endless) as bench:
        _, writer = await asyncio.open_connection(HOST, bench.port)
        length = "Content-Length: 1000" if when == "in the request" else "X-None: 1"
        writer.write(request("POST", "/v1/files", length))
        writer.write(b"only this" if when == "in the request" else b"")
        async with asyncio.timeout(10):
            while not bench.service.asked:  # noqa: ASYNC110 - what it waits for sets no event
                await asyncio.sleep(0.01)
        writer.close()
        await asyncio.wait_for(bench.service.broken_off.wait(), 10)


async def test_an_upgrade_to_websocket_is_a_tunnel_and_h2c_is_none(
    kind: str, tmp_path: Path
) -> None:
    async def upgrade(asked: Asked) -> None:
        if asked.headers.get("upgrade") != "websocket":
            await echo(asked)
            return
        await asked.send(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
        )
        while line := await asked.reader.readline():
            await asked.send(line.upper())

    async with bench_of(kind, tmp_path, upgrade) as bench:
        reader, writer = await asyncio.open_connection(HOST, bench.port)
        writer.write(request("GET", "/", "Connection: Upgrade", "Upgrade: websocket"))
        assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        for word in (b"one\n", b"two\n"):
            writer.write(word)
            assert await asyncio.wait_for(reader.readline(), 10) == word.upper()
        writer.close()
        h2c = request("GET", "/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                       "HTTP2-Settings: AAMAAABkAAQAAP__")  # fmt: skip
        _, _, body = (await bench.raw(h2c[:-2] + b"Connection: close\r\n\r\n", 80)).partition(
            b"\r\n\r\n"
        )
        assert not {"upgrade", "http2-settings"} & set(json.loads(body)["headers"])


async def test_a_thousand_connections_at_once(kind: str, tmp_path: Path) -> None:
    everybody = asyncio.Event()
    here = 0

    async def wait(asked: Asked) -> None:
        nonlocal here
        here += 1
        if here == 1000:
            everybody.set()
        await asyncio.wait_for(everybody.wait(), 60)
        await asked.answer(b"ok")

    async def ask(session: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
        async with session.get(url) as answer:
            return answer.status, await answer.read()

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        bench_of(kind, tmp_path, wait) as bench,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        found = await asyncio.gather(*(ask(session, f"{bench.base}/") for _ in range(1000)))
    assert set(found) == {(200, b"ok")}


async def test_a_slow_sender_holds_up_nobody(kind: str, tmp_path: Path) -> None:
    unfinished = request("POST", "/v1/completions", "Content-Length: 99") + b"and no more"
    async with bench_of(kind, tmp_path, echo) as bench, aiohttp.ClientSession() as session:
        silent = [await asyncio.open_connection(HOST, bench.port) for _ in range(50)]
        for _, writer in silent[:25]:
            writer.write(unfinished)
        before = time.monotonic()
        async with session.get(f"{bench.base}/policies") as answer:
            assert answer.status == 200
        assert time.monotonic() - before < 5
        assert len(bench.service.asked) == 1, "who has not sent all reaches no service"
        for _, writer in silent:
            writer.close()
