"""For the conformance suite: nginx with any layout, and a service that misbehaves byte by byte."""

import asyncio
import contextlib
import dataclasses
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from headrace_stack.gateway.configuration import PRODUCTION, Layout
from headrace_stack.gateway.nginx import embedded, prepare
from headrace_stack.ports import HOST, free_port
from headrace_stack.processes import allow_many_files, spawn
from headrace_stack.services import SERVICES

KINDS = ("embedded", "production")
_START_SECONDS = 10.0
_CHUNK = 1 << 16


@dataclass
class Asked:
    """A request as it reached the service."""

    method: str
    path: str
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    body: int = 0
    """Bytes of the body that have come so far."""
    text: bytes = b""
    """The first of them."""

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raise IncompleteReadError when the sender goes away."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                yield self._count(await self.reader.readexactly(size))
                await self.reader.readexactly(2)
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass  # trailers
            return
        left = int(self.headers.get("content-length", 0))
        while left:
            piece = await self.reader.read(min(left, _CHUNK))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            yield self._count(piece)

    def _count(self, piece: bytes) -> bytes:
        self.body += len(piece)
        self.text = (self.text + piece)[:_CHUNK]
        return piece

    async def read_all(self) -> bytes:
        """Take the whole body; the first 64 KiB of it."""
        async for _ in self.pieces():
            pass
        return self.text

    async def send(self, *pieces: bytes) -> None:
        """Write bytes as they are."""
        for piece in pieces:
            self.writer.write(piece)
        await self.writer.drain()

    async def answer(self, body: bytes = b"", status: str = "200 OK", *headers: str) -> None:
        """Send a whole answer."""
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
        await self.send("\r\n".join(lines).encode(), body)


Handler = Callable[[Asked], Awaitable[None]]


@dataclass
class RawService:
    """A server that hands each request to `handler`, and closes unless told to keep alive."""

    handler: Handler
    asked: list[Asked] = field(default_factory=list)
    broken_off: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a caller went away in the middle of a request."""
    connections: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ", 2)
            pairs = (line.split(":", 1) for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, value in pairs}
            asked = Asked(method, path, headers, reader, writer)
            self.asked.append(asked)
            await self.handler(asked)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.broken_off.set()
        finally:
            with contextlib.suppress(ConnectionError):
                writer.close()
                await writer.wait_closed()


@asynccontextmanager
async def serving(service: RawService, port: int) -> AsyncIterator[RawService]:
    """Listen while the block runs."""
    server = await asyncio.start_server(service, HOST, port, backlog=2048)
    try:
        yield service
    finally:
        server.close()


@asynccontextmanager
async def running(layout: Layout, home: Path, port: int) -> AsyncIterator[Path]:
    """Run nginx with `layout` in `home` until the block ends; yield its log."""
    allow_many_files()
    command, log = prepare(home, layout), home / "gateway.log"
    process = spawn(command, os.environ, log)
    try:
        async with asyncio.timeout(_START_SECONDS):
            while True:
                if process.poll() is not None:
                    raise RuntimeError(f"nginx ended: {log.read_text()}")
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(HOST, port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        yield log
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 10)


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


def layout_of(kind: str, port: int, service_port: int, folder: Path) -> Layout:
    """Return the layout of a stack or of production, with one service behind every path."""
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


@asynccontextmanager
async def bench_of(kind: str, folder: Path, handler: Handler) -> AsyncIterator[Bench]:
    """Run a gateway of the `kind` before a service of `handler`."""
    port, service_port = free_port(), free_port()
    layout = layout_of(kind, port, service_port, folder)
    async with (
        serving(RawService(handler), service_port) as service,
        running(layout, folder, port) as log,
    ):
        yield Bench(port, service, service_port, log)


async def echo(asked: Asked) -> None:
    """Answer with the request, as JSON."""
    text = await asked.read_all()
    body = json.dumps(
        {"method": asked.method, "path": asked.path, "headers": asked.headers,
         "bytes": asked.body, "text": text.decode("latin-1")}
    ).encode()  # fmt: skip
    await asked.answer(body if asked.method != "HEAD" else b"", "200 OK", "x-answer: yes")


def request(method: str, path: str, *headers: str, host: str = f"{HOST}:1") -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()
