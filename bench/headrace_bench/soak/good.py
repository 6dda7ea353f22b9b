"""Good traffic: requests over Kafka, and over HTTP as an OpenAI client sends them."""

import asyncio
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from headrace_bench.faults.sender import Sender
from headrace_bench.faults.traffic import ASKED, Traffic

_RETRY_SECONDS = 1.0
_GIVE_UP_SECONDS = 90.0
_TIMEOUT = aiohttp.ClientTimeout(total=60)
_OK = 200
_ID_PREFIX = "chatcmpl-"
_RETRIED = frozenset({429, 500, 502, 503, 504})
"""Statuses that the `openai` package tries again."""


@dataclass(frozen=True)
class Failure:
    """An attempt that gave no answer."""

    at: float
    what: str


@dataclass
class HttpAnswers:
    """What HTTP clients got."""

    answered: dict[str, str] = field(default_factory=dict)
    """Request id of each answer, and the mark that it had to hold."""
    wrong: list[str] = field(default_factory=list)
    """Answers without their mark."""
    failures: list[Failure] = field(default_factory=list)
    """Attempts without an answer; a client tries again."""
    given_up: list[Failure] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    """Seconds of each attempt that was answered."""


async def over_kafka(
    traffic: Traffic, sender: Sender, per_second: float, over: asyncio.Event
) -> None:
    """Send requests evenly, and feedback on one in ten."""
    under_way: set[asyncio.Task[None]] = set()
    for number in itertools.count():
        if over.is_set():
            break
        events = list(traffic.ask(1))
        if number % 10 == 9:
            events += traffic.rate(1)
        task = asyncio.create_task(sender.send_all(events))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        await asyncio.sleep(1 / per_second)
    await asyncio.gather(*under_way)


async def over_http(
    base_url: str, answers: HttpAnswers, per_second: float, over: asyncio.Event
) -> None:
    """Send chats evenly, every other one streamed; each is tried again until it is answered."""
    under_way: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession(
        timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        for number in itertools.count():
            if over.is_set():
                break
            task = asyncio.create_task(_until_answered(session, base_url, number, answers))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            await asyncio.sleep(1 / per_second)
        await asyncio.gather(*under_way)


async def _until_answered(
    session: aiohttp.ClientSession, base_url: str, number: int, answers: HttpAnswers
) -> None:
    mark = f"http-{number:07d}"
    body = {
        "model": ASKED,
        "messages": [{"role": "user", "content": f"{mark} where is my parcel"}],
        "stream": bool(number % 2),
    }
    began = time.monotonic()
    while True:
        at = time.time()
        started = time.monotonic()
        try:
            request_id, text = await _ask(session, base_url, body)
        except (aiohttp.ClientError, TimeoutError, _NoAnswer) as error:
            failure = Failure(at, str(error) if isinstance(error, _NoAnswer) else repr(type(error)))
            answers.failures.append(failure)
            if time.monotonic() - began > _GIVE_UP_SECONDS:
                answers.given_up.append(failure)
                return
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        answers.latencies.append(time.monotonic() - started)
        answers.answered[request_id] = mark
        if mark not in text:
            answers.wrong.append(mark)
        return


class _NoAnswer(Exception):
    """An answer that is none: its status, or how it broke off."""


async def _ask(
    session: aiohttp.ClientSession, base_url: str, body: dict[str, Any]
) -> tuple[str, str]:
    """The request's id and the text of its answer."""
    async with session.post(f"{base_url}/v1/chat/completions", json=body) as response:
        if response.status != _OK:
            raise _NoAnswer(await _shaped(response))
        if not body["stream"]:
            whole = await response.json()
            return _id(whole), whole["choices"][0]["message"]["content"]
        request_id, text, ended = "", "", False
        async for line in response.content:
            if not line.startswith(b"data: "):
                continue
            if line.strip() == b"data: [DONE]":
                ended = True
                break
            part = json.loads(line[6:])
            if "error" in part:
                raise _NoAnswer(f"in the stream: {part['error'].get('code')}")
            request_id = _id(part)
            text += (part["choices"][0]["delta"].get("content") or "") if part["choices"] else ""
        if not ended:
            raise _NoAnswer("the stream ended without [DONE]")
        return request_id, text


async def _shaped(response: aiohttp.ClientResponse) -> str:
    """Status and code of an error; says so where it is not in OpenAI's shape."""
    try:
        code = (await response.json())["error"]["code"]
    except (aiohttp.ClientError, ValueError, KeyError, TypeError):
        return f"{response.status} without OpenAI's shape"
    return (
        f"{response.status} {code}" if response.status in _RETRIED else f"{response.status}!{code}"
    )


def _id(body: dict[str, Any]) -> str:
    return str(body["id"]).removeprefix(_ID_PREFIX)
