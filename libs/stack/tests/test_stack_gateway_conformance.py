"""One suite for the gateway of a stack and for production's: whatever HTTP may send passes."""

import asyncio
import dataclasses
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from headrace_stack.gateway.configuration import PRODUCTION, Layout
from headrace_stack.gateway.nginx import embedded
from headrace_stack.gateway.testing import Asked, Handler, RawService, running, serving
from headrace_stack.ports import HOST, free_port
from headrace_stack.services import SERVICES

MIB = 1 << 20
SECRET = "Ilse-Mustermann-8121"


@dataclass
class Bench:
    """A gateway, and the service behind every path of it."""

    port: int
    service: RawService
    service_port: int
    log: Path

    @property
    def base(self) -> str:
        """The base URL."""
        return f"http://{HOST}:{self.port}"

    async def raw(self, sent: bytes, seconds: float = 10.0) -> bytes:
        """Send bytes on a connection of its own; what came until it was closed."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(sent)
        try:
            return await asyncio.wait_for(reader.read(), seconds)
        finally:
            writer.close()


def _layout(kind: str, port: int, service_port: int, folder: Path) -> Layout:
    ports = {service.name: service_port for service in SERVICES}
    if kind == "embedded":
        return embedded(port, ports)
    # Only what a container would bring along is another: addresses, folders, the user.
    user = ("user root;",) if os.geteuid() == 0 else ()
    (folder / "hosts-own.conf").write_text("gateway.example.org 0;\n")
    return dataclasses.replace(
        PRODUCTION,
        main=("daemon off;", *user, *PRODUCTION.main),
        listen=f"{HOST}:{port}",
        targets={name: f"{HOST}:{service_port}" for name in ports},
        folder="",
        resolver="",
        include=str(folder),
    )


@pytest.fixture(params=["embedded", "production"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def _bench(kind: str, folder: Path, handler: Handler) -> AsyncIterator[Bench]:
    port, service_port = free_port(), free_port()
    layout = _layout(kind, port, service_port, folder)
    async with (
        serving(RawService(handler), service_port) as service,
        running(layout, folder, port) as log,
    ):
        yield Bench(port, service, service_port, log)


async def _echo(asked: Asked) -> None:
    text = await asked.read_all()
    body = json.dumps(
        {"method": asked.method, "path": asked.path, "headers": asked.headers,
         "bytes": asked.body, "text": text.decode("latin-1")}
    ).encode()  # fmt: skip
    await asked.answer(body if asked.method != "HEAD" else b"", "200 OK", "x-answer: yes")


def _request(method: str, path: str, *headers: str, host: str = f"{HOST}:1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()


# -- answers without a body ----------------------------------------------------------------


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

    async with _bench(kind, tmp_path, bodiless) as bench, aiohttp.ClientSession() as session:
        for _ in range(20):
            async with session.request(method, f"{bench.base}/console/x") as answer:
                assert answer.status == int(status[:3])
                assert answer.headers["etag"] == '"x"'
                assert await answer.read() == b""
    # All on one connection: nothing of a body was left on it.
    assert bench.service.connections == 20


# -- bodies ---------------------------------------------------------------------------------


async def test_a_request_comes_through_unchanged(kind: str, tmp_path: Path) -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    async with _bench(kind, tmp_path, _echo) as bench:
        sent = _request(
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
        _bench(kind, tmp_path, talk) as bench,
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
        _bench(kind, tmp_path, large) as bench,
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
        _bench(kind, tmp_path, stream) as bench,
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

    async with _bench(kind, tmp_path, trailers) as bench:
        reader, writer = await asyncio.open_connection(HOST, bench.port)
        writer.write(_request("POST", "/policies", "Content-Length: 2", "Expect: 100-continue"))
        first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert first.startswith(b"HTTP/1.1 100")
        writer.write(b"hi")
        assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10) == b"2\r\nok\r\n0\r\n\r\n"
        # Trailers of a request are read and let go, and the connection goes on.
        writer.write(_request("POST", "/policies", "Transfer-Encoding: chunked", "Trailer: x-sum"))
        writer.write(b"2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n")
        assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)
        writer.close()


# -- connections ----------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order(kind: str, tmp_path: Path) -> None:
    async with _bench(kind, tmp_path, _echo) as bench:
        sent = b"".join(
            _request("POST", f"/sources/{n}", "Content-Length: 1") + str(n).encode()
            for n in range(9)
        )
        got = await bench.raw(sent + _request("GET", "/sources/9", "Connection: close"))
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

    async with _bench(kind, tmp_path, failing) as bench, aiohttp.ClientSession() as session:
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
        await _echo(asked)

    async with _bench(kind, tmp_path, early) as bench, aiohttp.ClientSession() as session:
        for _ in range(10):
            async with session.post(f"{bench.base}/v1/files", data=b"x" * 5 * MIB) as answer:
                assert (answer.status, await answer.read()) == (413, b"too large")
            async with session.post(f"{bench.base}/v1/feedback", data=b"x") as answer:
                assert answer.status == 200


async def test_a_request_is_never_sent_twice(kind: str, tmp_path: Path) -> None:
    async def breaks_off(asked: Asked) -> None:
        await asked.read_all()

    async with _bench(kind, tmp_path, breaks_off) as bench, aiohttp.ClientSession() as session:
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

    async with _bench(kind, tmp_path, half) as bench, aiohttp.ClientSession() as session:
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

    async with _bench(kind, tmp_path, endless) as bench:
        _, writer = await asyncio.open_connection(HOST, bench.port)
        length = "Content-Length: 1000" if when == "in the request" else "X-None: 1"
        writer.write(_request("POST", "/v1/files", length))
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
            await _echo(asked)
            return
        await asked.send(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
        )
        while line := await asked.reader.readline():
            await asked.send(line.upper())

    async with _bench(kind, tmp_path, upgrade) as bench:
        reader, writer = await asyncio.open_connection(HOST, bench.port)
        writer.write(_request("GET", "/", "Connection: Upgrade", "Upgrade: websocket"))
        assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        for word in (b"one\n", b"two\n"):
            writer.write(word)
            assert await asyncio.wait_for(reader.readline(), 10) == word.upper()
        writer.close()
        h2c = _request("GET", "/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
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
        _bench(kind, tmp_path, wait) as bench,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        found = await asyncio.gather(*(ask(session, f"{bench.base}/") for _ in range(1000)))
    assert set(found) == {(200, b"ok")}


async def test_a_slow_sender_holds_up_nobody(kind: str, tmp_path: Path) -> None:
    unfinished = _request("POST", "/v1/completions", "Content-Length: 99") + b"and no more"
    async with _bench(kind, tmp_path, _echo) as bench, aiohttp.ClientSession() as session:
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


# -- whose fault ----------------------------------------------------------------------------


async def _error(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    assert answer.content_type == "application/json"
    error: dict[str, Any] = (await answer.json())["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    return error


async def test_a_service_that_is_down_is_named(kind: str, tmp_path: Path) -> None:
    folder, port = tmp_path, free_port()
    layout = _layout(kind, port, free_port(), folder)
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
        (_request("TRACE", "/"), 405),
        (_request("GET", "/" + "x" * 20_000), 414),
        (_request("GET", "/", "X-Big: " + "x" * 20_000), 431),
        (_request("GET", "/", "Transfer-Encoding: gzip"), 501),
        (_request("POST", "/v1/chat/completions", f"Content-Length: {17 * MIB}"), 413),
        (_request("POST", "/v1/files", f"Content-Length: {300 * MIB}"), 413),
        (_request("GET", "/", host="evil.example"), 421),
        (_request("GET", "/", host="evil.example:80"), 421),
        (_request("GET", "/", host="127.0.0.1.evil.example"), 421),
        (_request("GET", "http://evil.example/"), 421),
        (b"GET / HTTP/1.0\r\n\r\n", 421),
        (_request("POST", "/", "Origin: http://evil.example"), 403),
        (_request("POST", "/", "Origin: null"), 403),
        (_request("GET", "/", "Origin: http://127.0.0.1:2"), 403),
        (_request("GET", "/", "Origin: http://127.0.0.1:1.evil.example"), 403),
    ],
)
async def test_what_the_gateway_refuses_is_json(
    kind: str, tmp_path: Path, sent: bytes, status: int
) -> None:
    async with _bench(kind, tmp_path, _echo) as bench:
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

    async with _bench(kind, tmp_path, _echo) as bench, aiohttp.ClientSession() as session:
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
    async with _bench(kind, tmp_path, _echo) as bench:
        got = await bench.raw(_request("GET", "/", *headers, host=host))
    assert got.startswith(b"HTTP/1.1 200"), got


async def test_a_deployment_adds_names_of_its_own(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Production by a file beside the configuration, a stack by a variable."""
    monkeypatch.setenv("HEADRACE_GATEWAY_HOSTS", "gateway.example.org, *.internal")
    async with _bench(kind, tmp_path, _echo) as bench:
        for host in ("gateway.example.org", "gateway.example.org:443"):
            origin = f"Origin: https://{host}"
            got = await bench.raw(_request("GET", "/", origin, "Connection: close", host=host))
            assert got.startswith(b"HTTP/1.1 200"), got


async def test_the_gateway_tells_its_own_health(kind: str, tmp_path: Path) -> None:
    async with _bench(kind, tmp_path, _echo) as bench, aiohttp.ClientSession() as session:
        async with session.get(f"{bench.base}/gateway/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "alive"})
        async with session.get(f"{bench.base}/metrics") as answer:
            # In production the services' metrics are nobody's from outside.
            assert answer.status == (404 if kind == "production" else 200)
