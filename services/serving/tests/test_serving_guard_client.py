"""The client of guardrails, against a server that does what servers do to connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headrace_events.inference import Message
from headrace_serving.adapters.guard import GuardClient
from headrace_serving.core.ending import Unanswered

BODY = json.dumps({"action": "pass"}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
HELLO = (Message(role="user", content="hello"),)


@asynccontextmanager
async def guardrails(answers: list[int]) -> AsyncIterator[str]:
    """Answer so many requests on each connection in turn, then close without a word."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(answers.pop(0) if answers else 0):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(ANSWER)
            await writer.drain()
        await reader.read(1)  # the next request has begun
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_connection_closed_under_a_request_costs_no_answer() -> None:
    async with guardrails([1, 1]) as url:
        client = GuardClient(url, 5.0)
        for number in range(2):
            verdict = await client.input("docs", f"r{number}", HELLO, "")
            assert verdict.action == "pass"
        await client.close()


async def test_who_always_closes_is_not_asked_for_ever() -> None:
    async with guardrails([]) as url:
        client = GuardClient(url, 5.0)
        with pytest.raises(Unanswered):
            await client.input("docs", "r1", HELLO, "")
        await client.close()
