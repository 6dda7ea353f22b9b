"""Bodies are refused at their bound, before they are read, parsed or spooled."""

import http.client
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from threading import Thread
from typing import Annotated, Any

import httpx2
import pytest
import uvicorn
from fastapi import Body, FastAPI, File, Request, UploadFile

from headrace_kit.body_limits import BodyLimits
from headrace_kit.http import make_api

LIMIT, FILE_LIMIT = 1000, 3_000_000


def _api() -> FastAPI:
    limits = BodyLimits(LIMIT)
    limits.allow("/files", FILE_LIMIT)
    api = make_api("test", "1", dict, lambda: False, None, body_limits=limits)

    @api.post("/notes")
    async def notes(note: Annotated[dict[str, str], Body()]) -> int:
        return len(note["text"])

    @api.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @api.post("/files")
    async def files(file: Annotated[UploadFile, File()]) -> int:
        return len(await file.read())

    @api.get("/find/{name}")
    async def find(name: str, also: str = "") -> str:
        return name + also

    return api


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=_api())
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as found:
        yield found


def _problem(answer: httpx2.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    return str(error["message"])


async def _pieces(size: int, seen: list[int]) -> AsyncIterator[bytes]:
    for _ in range(size // 100):
        seen.append(100)
        yield b"x" * 100


async def test_a_body_up_to_its_bound_is_taken(client: httpx2.AsyncClient) -> None:
    text = "x" * (LIMIT - len('{"text":""}'))
    assert (await client.post("/notes", json={"text": text})).json() == len(text)
    answer = await client.post("/notes", json={"text": text + "x"})
    assert f"more than {LIMIT} bytes" in _problem(answer, 413)


@pytest.mark.parametrize("path", ["/raw", "/notes"])
async def test_a_body_of_unknown_length_is_counted(client: httpx2.AsyncClient, path: str) -> None:
    seen: list[int] = []
    answer = await client.post(
        path, content=_pieces(100_000, seen), headers={"content-type": "application/json"}
    )
    _problem(answer, 413)
    assert sum(seen) <= LIMIT + 200


async def test_a_form_is_refused_before_it_is_spooled(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    class Spool(tempfile.SpooledTemporaryFile):  # type: ignore[type-arg]
        def write(self, data: Any) -> int:
            nonlocal written
            written += len(data)
            return super().write(data)

    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", Spool)
    small = await client.post("/files", files={"file": ("a", b"x" * 2_000_000)})
    assert small.json() == 2_000_000
    assert written == 2_000_000
    written = 0
    declared = await client.post("/files", files={"file": ("a", b"x" * FILE_LIMIT)})
    _problem(declared, 413)
    assert written == 0

    async def endless() -> AsyncIterator[bytes]:
        yield (
            b"--b\r\ncontent-disposition: form-data; name=file; filename=a\r\n"
            b"content-type: text/csv\r\n\r\n"
        )
        for _ in range(1000):
            yield b"x" * 100_000

    answer = await client.post(
        "/files", content=endless(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    _problem(answer, 413)
    assert written <= FILE_LIMIT


@pytest.mark.parametrize("path", ["/find/a%00b", "/find/a?also=%00"])
async def test_a_zero_in_the_target_is_refused(client: httpx2.AsyncClient, path: str) -> None:
    assert "binary zero" in _problem(await client.get(path), 400)
    assert (await client.get(path.replace("%00", "%20"))).status_code == 200


@pytest.fixture(scope="module")
def served() -> Iterator[int]:
    """The port of the app behind the real server."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(_api(), log_config=None, access_log=False))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    listening.close()


@pytest.mark.parametrize("size", [LIMIT + 1, 2_400_000, 8_000_000])
def test_whoever_sends_too_much_gets_the_answer_and_no_reset(served: int, size: int) -> None:
    """It was answered and closed while the body still came: behind the gateway a 502."""
    for _ in range(5):
        connection = http.client.HTTPConnection("127.0.0.1", served, timeout=20)
        connection.request("POST", "/notes", body=b"x" * size)
        assert connection.getresponse().status == 413
        connection.close()


def test_of_what_is_far_too_large_nothing_is_read(served: int) -> None:
    with socket.create_connection(("127.0.0.1", served), timeout=20) as client_socket:
        head = f"POST /notes HTTP/1.1\r\nHost: a\r\nContent-Length: {10**12}\r\n\r\n"
        client_socket.sendall(head.encode())
        assert b" 413 " in client_socket.recv(1000)
