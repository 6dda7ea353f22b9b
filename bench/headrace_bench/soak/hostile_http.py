"""A hostile HTTP client: requests that once killed the base URL, hung it, or made a 500."""

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from headrace_bench.faults.traffic import ASKED

_SECONDS = 30.0
_FIRST_5XX = 500
_UNAVAILABLE = 503
CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Attack:
    """Raw bytes on a connection of its own; with `cut`, the client goes away after it sent them."""

    name: str
    data: bytes
    cut: bool = False


@dataclass
class Seen:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    """By attack and status."""
    server_errors: list[tuple[float, str]] = field(default_factory=list)
    """When and what: 5xx other than 503, which only a kill explains."""
    unavailable: list[tuple[float, str]] = field(default_factory=list)
    hung: list[tuple[float, str]] = field(default_factory=list)


def _request(
    method: str, path: str, body: bytes = b"", host: str = "localhost", **headers: str
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
        if "Content_Type" not in headers:
            lines.append("Content-Type: application/json")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _chat(**more: object) -> bytes:
    asked: dict[str, object] = {"model": ASKED, "messages": [{"role": "user", "content": "hello"}]}
    return json.dumps({**asked, **more}).encode()


def attacks(host: str) -> list[Attack]:
    """Every attack; `host` is the base URL's own."""
    return [*_of_http(host), *_of_bodies(host), *_of_connections(host)]


def _of_http(host: str) -> list[Attack]:
    """Methods, headers and paths."""

    def to(name: str, method: str, path: str, **headers: str) -> Attack:
        return Attack(name, _request(method, path, b"", headers.pop("host", host), **headers))

    later = "Thu, 26 Nov 2099 00:00:00 GMT"
    body = _chat()
    foreign = _request("POST", CHAT, body, host, Origin="http://evil.example")
    return [
        to("HEAD", "HEAD", "/healthz"),
        to("HEAD of the console", "HEAD", "/"),
        to("conditional GET", "GET", "/", If_None_Match="*", If_Modified_Since=later),
        to("OPTIONS", "OPTIONS", CHAT),
        to("TRACE", "TRACE", "/"),
        to("another Host", "GET", "/", host="evil.example"),
        Attack("another Origin", foreign),
        to("a version beyond 64 bits", "GET", f"/datasets/{ASKED}/versions/{2**70}"),
        to("dots in the path", "GET", "/datasets/..%2f..%2f..%2fetc%2fpasswd/versions/1"),
        to("trailing slash", "GET", "/v1/models/"),
        to("nothing there", "GET", "/v1/nothing"),
        to("wrong method", "DELETE", CHAT),
        to("audit", "GET", "/audit"),
    ]


def _of_bodies(host: str) -> list[Attack]:
    """Bodies that do not fit, are too large, or take long to look at."""

    def post(name: str, path: str, body: bytes | Mapping[str, object]) -> Attack:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Attack(name, _request("POST", path, data, host))

    def said(content: str) -> bytes:
        return _chat(messages=[{"role": "user", "content": content}])

    correction = {"request_id": "r", "rating": -1, "correction": "x" * 2_400_000}
    passwd = {"source": {"type": "file", "path": "/etc/passwd"}}
    function = {"type": "function", "function": {"name": "f"}}
    return [
        post("unparsable body", CHAT, b"{not json"),
        post("half an emoji", CHAT, said("\ud83d")),
        post("seed beyond 64 bits", CHAT, _chat(seed=2**70)),
        post("nested deeply", CHAT, b'{"model":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
        post("tools", CHAT, _chat(tools=[function])),
        post("null stream", CHAT, _chat(stream=None)),
        post("a long prompt", CHAT, said("x" * 900_000)),
        post("unknown model", CHAT, _chat(model="nobody")),
        post("slow text", "/v1/moderations", {"input": "@" * 200_000}),
        post("slow phrase", "/v1/moderations", {"input": "illegal" + "!" * 60}),
        post("control character", "/v1/feedback", {"request_id": "a\u0000b", "rating": 1}),
        post("a correction of 2.4 MB", "/v1/feedback", correction),
        post("a file of the machine", "/sources/preview", passwd),
        post("a large body", "/models", b'{"model":"' + b"x" * 2_400_000 + b'"}'),
    ]


def _of_connections(host: str) -> list[Attack]:
    """Clients that go away, speak another protocol, or send two requests at once."""
    stream = _request("POST", CHAT, _chat(stream=True), host)
    kept = _request("GET", "/healthz", host=host).replace(b"close", b"keep-alive")
    lies = _request("POST", CHAT, host=host, Transfer_Encoding="chunked") + b"FFFFFFF\r\n{}"
    return [
        Attack("goes away in the stream", stream, cut=True),
        Attack("half a body", stream[:-20], cut=True),
        Attack("half a head", b"POST / HTTP/1.1\r\nHost", cut=True),
        Attack("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01" * 20, cut=True),
        Attack("a chunk that lies", lies, cut=True),
        Attack("three in one packet", kept * 2 + _request("GET", "/", host=host)),
    ]


async def run(base_url: str, seen: Seen, pause: float, over: asyncio.Event) -> None:
    """Send one attack after the other until it is over."""
    address = urlsplit(base_url)
    assert address.hostname and address.port  # noqa: S101 - the stack's own
    for attack in itertools.cycle(attacks(address.netloc)):
        if over.is_set():
            return
        await _send(attack, address.hostname, address.port, seen)
        await asyncio.sleep(pause)


async def _send(attack: Attack, host: str, port: int, seen: Seen) -> None:
    at = time.time()
    try:
        async with asyncio.timeout(_SECONDS):
            status = await _exchange(attack, host, port)
    except TimeoutError:
        seen.hung.append((at, attack.name))
        status = "hung"
    except OSError as error:
        status = type(error).__name__
        if isinstance(error, ConnectionRefusedError):
            seen.unavailable.append((at, f"{attack.name}: connection refused"))
    seen.statuses[f"{attack.name} → {status}"] += 1
    if status.isdigit() and int(status) >= _FIRST_5XX:
        kept = seen.unavailable if int(status) == _UNAVAILABLE else seen.server_errors
        kept.append((at, f"{attack.name} → {status}"))


async def _exchange(attack: Attack, host: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(attack.data)
        await writer.drain()
        if attack.cut:
            await asyncio.sleep(0.3)
            writer.transport.abort()
            return "cut by the client"
        head = await reader.readline()
        while await reader.read(65536):
            pass
        words = head.split()
        return words[1].decode("ascii", "replace") if len(words) > 1 else "closed without a word"
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
