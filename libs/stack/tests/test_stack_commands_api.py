"""What a command says when the other side does not do as it should."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from headrace_stack.commands.api import Api, Refused, Unanswered, connect
from headrace_stack.errors import StackError


def api(answer: Callable[[httpx2.Request], httpx2.Response]) -> Api:
    return Api("http://127.0.0.1:1", transport=httpx2.MockTransport(answer))


def error(status: int, message: str, **more: Any) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"message": message, **more}})


def test_parts_of_a_path_are_quoted() -> None:
    seen = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.raw_path)
        return httpx2.Response(200, json={})

    api(answer).get("models", "../a b/ő", limit=3, cursor=None)
    assert seen == [b"/models/..%2Fa%20b%2F%C5%91?limit=3"]


def test_pages_are_followed_to_their_end_and_no_further() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        start = int(request.url.params.get("cursor", "0"))
        size = min(int(request.url.params["limit"]), 2)
        data = [{"n": n} for n in range(start, min(start + size, 5))]
        return httpx2.Response(
            200, json={"data": data, "next": str(start + size) if start + size < 5 else None}
        )

    assert [one["n"] for one in api(answer).pages("things")] == [0, 1, 2, 3, 4]
    assert [one["n"] for one in api(answer).pages("things", limit=3)] == [0, 1, 2]


def test_a_refusal_is_the_services_own_sentence() -> None:
    with pytest.raises(Refused) as raised:
        api(lambda _: error(409, "version 3 was never approved", param="version")).get("models")
    assert (str(raised.value), raised.value.param) == ("version 3 was never approved", "version")
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (error(404, "there is no such path"), StackError, "older than this command"),
        (error(503, "It starts."), Unanswered, "`headrace logs registry`"),
        (error(500, "internal error"), StackError, "registry: internal error"),
        (httpx2.Response(200, text="<html>"), StackError, "no JSON"),
        (httpx2.Response(418, json=[1]), Refused, "status 418"),
    ],
)  # fmt: skip
def test_what_else_comes_back_is_one_sentence(
    answer: httpx2.Response, kind: type[StackError], words: str
) -> None:
    with pytest.raises(kind) as raised:
        api(lambda _: answer).get("models")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    with pytest.raises(Unanswered, match=r"Nothing answers at http://127\.0\.0\.1:9"):
        Api("http://127.0.0.1:9").get("models")
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / ".headrace"))
    with pytest.raises(StackError, match="headrace up"):
        connect()
    monkeypatch.setenv("HEADRACE_URL", "ftp://x")
    with pytest.raises(StackError, match="HEADRACE_URL"):
        connect()
