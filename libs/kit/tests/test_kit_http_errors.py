"""Every error is JSON in OpenAI's shape, quotes nobody, and is in the OpenAPI document."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Annotated, Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field, field_validator

from headrace_kit import logs
from headrace_kit.http import make_api
from headrace_kit.problems import problem

SECRET = "Ilse-Mustermann-8121"


class Note(BaseModel):
    """What the test's endpoints take."""

    stars: Annotated[int, Field(le=5)]
    text: str = ""

    @field_validator("text")
    @classmethod
    def _no_secret(cls, text: str) -> str:
        if SECRET in text:
            raise ValueError(f"{text} must not be here")
        return text


def _api() -> FastAPI:  # noqa: C901 - one endpoint for each way to fail
    api = make_api("test", "1", lambda: {"up": False}, lambda: False, None)

    @api.get("/notes")
    async def notes(limit: Annotated[int, Query(ge=1)] = 1) -> dict[str, int]:
        return {"limit": limit}

    @api.post("/notes/{number}", status_code=201)
    async def take(number: int, note: Note) -> dict[str, int]:
        return {"number": number + note.stars}

    @api.get("/broken/{text}")
    async def broken(text: str) -> None:
        raise RuntimeError(f"no {text} here")

    @api.get("/half")
    async def half() -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            yield "half"
            await asyncio.sleep(0.1)
            raise RuntimeError(SECRET)

        return StreamingResponse(pieces(), media_type="text/plain")

    @api.get("/endless")
    async def endless() -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            while True:
                yield "data: x\n\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(pieces(), media_type="text/event-stream")

    @api.get("/gone")
    async def gone() -> None:
        raise HTTPException(409, "it is being made", headers={"Retry-After": "7"})

    @api.get("/refused")
    async def refused() -> JSONResponse:
        return problem(404, "no such note", param="number", code="note_not_found")

    return api


@contextmanager
def _served(api: FastAPI) -> Iterator[str]:
    """The app behind the real server; its base URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(api, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    # As a service does: structlog's own default draws a traceback with all locals, for seconds.
    logs.configure("test", "INFO")
    try:
        with _served(_api()) as url:
            yield url
    finally:
        root.handlers[:], root.level = before


def _error(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert isinstance(error["message"], str)
    assert isinstance(error["type"], str)
    return error


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "kind", "param"),
    [
        ("GET", "/nowhere", None, 404, "invalid_request_error", None),
        ("DELETE", "/notes", None, 405, "invalid_request_error", None),
        ("OPTIONS", "/notes", None, 405, "invalid_request_error", None),
        ("POST", "/notes/1", b"{", 400, "invalid_request_error", None),
        ("POST", "/notes/1", b"\xff\xfe", 400, "invalid_request_error", None),
        ("POST", "/notes/1", b"[" * 100_000, 400, "invalid_request_error", None),
        ("POST", "/notes/1", b'{"stars": 6}', 400, "invalid_request_error", "stars"),
        ("POST", "/notes/1", b"{}", 400, "invalid_request_error", "stars"),
        ("POST", "/notes/x", b'{"stars": 1}', 400, "invalid_request_error", "number"),
        ("GET", "/notes?limit=0", None, 400, "invalid_request_error", "limit"),
        ("GET", "/gone", None, 409, "invalid_request_error", None),
        ("GET", "/refused", None, 404, "invalid_request_error", "number"),
        ("GET", "/broken/x", None, 500, "server_error", None),
    ],
)
def test_every_error_has_openais_shape(
    base: str, method: str, path: str, sent: bytes | None, status: int, kind: str, param: str | None
) -> None:
    headers = {"content-type": "application/json"} if sent is not None else {}
    answer = httpx2.request(method, base + path, content=sent, headers=headers)
    assert answer.status_code == status
    error = _error(answer)
    assert (error["type"], error["param"]) == (kind, param)
    assert error["code"]


def test_an_error_keeps_its_headers_and_its_words(base: str) -> None:
    gone = httpx2.get(f"{base}/gone")
    assert gone.headers["retry-after"] == "7"
    assert _error(gone)["message"] == "it is being made"
    refused = _error(httpx2.get(f"{base}/refused"))
    assert (refused["message"], refused["code"]) == ("no such note", "note_not_found")
    wrong = httpx2.delete(f"{base}/notes")
    assert {"GET", "HEAD"} <= set(wrong.headers["allow"].split(", "))
    limit = httpx2.post(f"{base}/notes/1", json={"stars": 6})
    assert "less than or equal to 5" in _error(limit)["message"]


def test_no_error_quotes_what_was_sent(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    logs.configure("test", "INFO")
    try:
        answers = [
            httpx2.get(f"{base}/broken/{SECRET}"),
            httpx2.get(f"{base}/{SECRET}"),
            httpx2.post(f"{base}/notes/{SECRET}", json={"stars": 1}),
            httpx2.post(f"{base}/notes/1", json={"stars": SECRET}),
            httpx2.post(f"{base}/notes/1", json={"stars": 1, "text": SECRET}),
            httpx2.post(f"{base}/notes/1", content=f'{{"stars": {SECRET}'),
        ]
    finally:
        root.handlers[:], root.level = before
    assert [answer.status_code for answer in answers] == [500, 404, 400, 400, 400, 400]
    assert not any(SECRET in answer.text for answer in answers)
    written = capsys.readouterr().out
    assert SECRET not in written
    # The one thing that is ours to mend is in the log, with where it happened.
    (line,) = [json.loads(one) for one in written.splitlines() if "RuntimeError" in one]
    assert any("broken" in frame for frame in line["frames"])


def test_an_unbounded_list_of_faults_is_cut(base: str) -> None:
    answer = httpx2.post(f"{base}/notes/1", json={f"stars{n}": n for n in range(3000)})
    assert answer.status_code == 400
    assert len(answer.content) < 5000


def test_the_connection_lives_on_after_a_500(base: str) -> None:
    """What an unhandled error closed under a proxy's feet made the next request a 502."""
    with httpx2.Client(base_url=base) as client:
        for _ in range(20):
            assert client.get("/broken/x").status_code == 500
            assert client.post("/notes/1", json={"stars": 1}).json() == {"number": 2}


def test_a_stream_that_breaks_does_not_look_complete(base: str) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(f"{base}/half")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/version", "/metrics", "/notes"])
def test_head_answers_as_get_does_without_the_body(base: str, path: str) -> None:
    head, got = httpx2.head(base + path), httpx2.get(base + path)
    assert head.status_code == got.status_code
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.content == b""


def test_head_where_there_is_no_get_is_refused_with_allow(base: str) -> None:
    answer = httpx2.head(f"{base}/notes/1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_head_of_an_endless_stream_ends(base: str) -> None:
    with httpx2.Client(base_url=base, timeout=5) as client:
        assert client.head("/endless").status_code == 200
        assert client.get("/version").status_code == 200  # on the same connection


def test_a_redirect_names_no_host(base: str) -> None:
    """The service does not know by which name it was reached."""
    answer = httpx2.get(f"{base}/notes/?limit=2")
    assert answer.status_code == 307
    assert answer.headers["location"] == "/notes?limit=2"
    elsewhere = httpx2.get(f"{base}//evil.example/")
    assert not elsewhere.headers.get("location", "").startswith("//")


def test_errors_are_in_the_openapi_document_of_every_operation() -> None:
    document = _api().openapi()
    operations = [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) >= 10
    for name, operation in operations:
        responses = operation["responses"]
        assert "422" not in responses, name
        for statuses in ("4XX", "5XX"):
            schema = responses[statuses]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}, name
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert "503" in document["paths"]["/readyz"]["get"]["responses"]
    assert "text/plain" in document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
