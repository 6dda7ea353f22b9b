"""The services' HTTP doors behind the base URL; whatever fails becomes one sentence."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx2

from headrace_stack.errors import StackError
from headrace_stack.paths import default_home
from headrace_stack.services import owner_of
from headrace_stack.state import live_state

URL_VARIABLE = "HEADRACE_URL"
_SECONDS = 30.0
_PAGE = 200
_NO_PATH = "there is no such path"


class Refused(StackError):
    """The service said no (4xx); the message is its own, for the person who typed the command."""

    exit_code = 2

    def __init__(self, message: str, status: int, code: str = "", param: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


class Unanswered(StackError):
    """Nobody answers where the answer should come from."""


class Api:
    """Calls one base URL. Paths are given by their parts, which are quoted here."""

    def __init__(self, base_url: str, *, seconds: float = _SECONDS, transport: Any = None) -> None:
        self.base_url = base_url.rstrip("/")
        self._http = httpx2.Client(
            base_url=self.base_url,
            timeout=seconds,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )

    def get(self, *path: str, **query: Any) -> Any:
        """The JSON that is there; raise Refused or Unanswered."""
        return self._call("GET", path, query)

    def post(self, *path: str, body: dict[str, Any] | None = None, **query: Any) -> Any:
        """Ask for a change; return what the service says of it."""
        return self._call("POST", path, query, body if body is not None else {})

    def delete(self, *path: str, **query: Any) -> Any:
        """Ask for an end."""
        return self._call("DELETE", path, query)

    def pages(self, *path: str, limit: int | None = None, **query: Any) -> Iterator[dict[str, Any]]:
        """The things of a list, `{"data": [...], "next": cursor}`, up to `limit` of them."""
        left = limit
        cursor: str | None = None
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = self.get(*path, limit=size, cursor=cursor, **query)
            found = page["data"] if left is None else page["data"][:left]
            yield from found
            left = left if left is None else left - len(found)
            cursor = page.get("next")
            if not cursor:
                return

    def _call(
        self, method: str, path: tuple[str, ...], query: dict[str, Any], body: Any = None
    ) -> Any:
        where = _where(path)
        asked = {name: value for name, value in query.items() if value is not None}
        with self._reaching(where):
            answer = self._http.request(method, where, params=asked, json=body)
        return _read(answer, where, self.base_url)

    def exchange(
        self, *path: str, body: dict[str, Any], headers: Mapping[str, str]
    ) -> tuple[Any, Mapping[str, str]]:
        """As `post`, with headers of one's own, for who needs those of the answer too."""
        where = _where(path)
        with self._reaching(where):
            answer = self._http.post(where, json=body, headers=dict(headers))
        return _read(answer, where, self.base_url), answer.headers

    @contextmanager
    def stream(
        self, *path: str, body: dict[str, Any], headers: Mapping[str, str]
    ) -> Iterator[tuple[Mapping[str, str], Iterator[Any]]]:
        """Headers and server-sent events of an answer, up to `[DONE]`."""
        where = _where(path)
        with (
            self._reaching(where),
            self._http.stream("POST", where, json=body, headers=dict(headers)) as answer,
        ):
            if answer.status_code >= HTTPStatus.BAD_REQUEST:
                answer.read()
                _read(answer, where, self.base_url)
            yield answer.headers, _events(answer, owner_of(where))

    @contextmanager
    def _reaching(self, where: str) -> Iterator[None]:
        try:
            yield
        except httpx2.TimeoutException:
            raise Unanswered(
                f"{owner_of(where)} took longer than {self._http.timeout.read:.0f} s to answer. "
                "`headrace status` shows how it is."
            ) from None
        except httpx2.HTTPError as error:
            raise Unanswered(
                f"Nothing answers at {self.base_url} ({type(error).__name__}). `headrace status` "
                "shows whether the stack runs."
            ) from None


def _where(path: tuple[str, ...]) -> str:
    return "/" + "/".join(quote(part, safe="@") for part in path)


def _events(answer: httpx2.Response, service: str) -> Iterator[Any]:
    for line in answer.iter_lines():
        data = line.removeprefix("data: ")
        if data == line or not data:
            continue
        if data == "[DONE]":
            return
        event = json.loads(data)
        if error := event.get("error"):
            raise StackError(f"{service} broke the answer off: {error.get('message')}")
        yield event
    raise Unanswered(f"{service} broke the answer off. `headrace logs {service}` may say why.")


def _read(answer: httpx2.Response, where: str, base_url: str) -> Any:
    service = owner_of(where)
    try:
        body = answer.json()
    except ValueError:
        raise StackError(
            f"{base_url}{where} answered {answer.status_code} and no JSON: is that the base URL of "
            "a Headrace stack?"
        ) from None
    if answer.status_code < HTTPStatus.BAD_REQUEST:
        return body
    found = body.get("error") if isinstance(body, dict) else None
    error = found if isinstance(found, dict) else {}
    message = str(error.get("message") or f"status {answer.status_code}")
    if answer.status_code == HTTPStatus.NOT_FOUND and message == _NO_PATH:
        raise StackError(
            f"{service} at {base_url} has no {where}: it is older than this command. Start it from "
            "the same release (`headrace --version`)."
        )
    if answer.status_code in (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE,
                              HTTPStatus.GATEWAY_TIMEOUT):  # fmt: skip
        raise Unanswered(
            f"{service} does not answer now: {message} `headrace status` shows how it is, "
            f"`headrace logs {service}` why."
        )
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise StackError(f"{service}: {message} `headrace logs {service}` says more.")
    raise Refused(
        message, answer.status_code, str(error.get("code") or ""), str(error.get("param") or "")
    )


def connect(*, seconds: float = _SECONDS) -> Api:
    """The stack of the current folder, or the one that HEADRACE_URL names."""
    if given := os.environ.get(URL_VARIABLE):
        if not given.startswith(("http://", "https://")):
            raise StackError(f"{URL_VARIABLE} is no http:// or https:// address.")
        return Api(given, seconds=seconds)
    state = live_state(default_home())
    if state is None:
        raise StackError(
            f"No stack runs in {default_home()}. Start it with `headrace up`, go to its folder, or "
            f"name its base URL in {URL_VARIABLE}."
        )
    if not state.base_url:
        raise StackError(f"The stack in {state.home} has no base URL yet: it is {state.phase}.")
    return Api(state.base_url, seconds=seconds)
