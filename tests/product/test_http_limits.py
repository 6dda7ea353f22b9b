"""What HTTP answers when it cannot answer: 429, 503 and 504, at once, in OpenAI's shape."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import openai
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

WORKLOAD, OTHER = "http-limits", "http-limits-other"


@pytest.fixture(scope="module", autouse=True)
def applied(circuit: Any) -> None:
    circuit.apply(WORKLOAD)
    circuit.apply(OTHER)


@pytest.fixture
async def http(circuit: Any) -> AsyncIterator[httpx2.AsyncClient]:
    limits = httpx2.Limits(max_connections=200)
    async with httpx2.AsyncClient(
        base_url=circuit.url("serving-0"), timeout=120, limits=limits, trust_env=False
    ) as client:
        for workload in (WORKLOAD, OTHER):
            await answered(client, workload)
        yield client


async def answered(client: httpx2.AsyncClient, workload: str) -> None:
    """Ask until there is an answer: the manifest has arrived, there is room."""
    async with asyncio.timeout(60):
        while (await ask(client, workload, "is there room?")).status_code != 200:  # noqa: ASYNC110 - HTTP has no event
            await asyncio.sleep(0.1)


async def ask(client: httpx2.AsyncClient, workload: str, text: str, **more: Any) -> httpx2.Response:
    headers = more.pop("headers", {})
    body = {"model": workload, "messages": [{"role": "user", "content": text}], **more}
    return await client.post("/v1/chat/completions", json=body, headers=headers)


def assert_shape(response: httpx2.Response, code: str) -> None:
    error = response.json()["error"]
    assert error["code"] == code
    assert set(error) >= {"message", "type", "param", "code"}
    assert int(response.headers["retry-after"]) >= 1


async def test_a_burst_of_one_workload_is_429_and_the_others_are_served(
    http: httpx2.AsyncClient,
) -> None:
    burst = [asyncio.create_task(ask(http, WORKLOAD, f"burst {n}")) for n in range(60)]
    await asyncio.sleep(0.05)
    other = await ask(http, OTHER, "me too")
    responses = await asyncio.gather(*burst)
    assert other.status_code == 200
    refused = [r for r in responses if r.status_code == 429]
    assert refused
    assert {r.status_code for r in responses} == {200, 429}
    for response in refused:
        assert_shape(response, "rate_limit_exceeded")
        assert WORKLOAD in response.json()["error"]["message"]


async def test_the_openai_package_knows_what_it_gets(http: httpx2.AsyncClient) -> None:
    base_url = f"{http.base_url}/v1"
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as api:

        async def one() -> Any:
            return await api.chat.completions.create(
                model=WORKLOAD, messages=[{"role": "user", "content": "hi"}]
            )

        results = await asyncio.gather(*(one() for _ in range(60)), return_exceptions=True)
        refused = [r for r in results if isinstance(r, openai.RateLimitError)]
        assert refused
        assert all(r in refused for r in results if isinstance(r, BaseException))
        late = {"x-headrace-deadline": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}
        with pytest.raises(openai.InternalServerError) as caught:
            await api.chat.completions.create(
                model=WORKLOAD,
                messages=[{"role": "user", "content": "too late"}],
                extra_headers=late,
            )
        assert caught.value.status_code == 504
        assert caught.value.code == "deadline_exceeded"
        urgent = await api.chat.completions.create(
            model=WORKLOAD,
            messages=[{"role": "user", "content": "now"}],
            service_tier="priority",
        )
        assert urgent.choices[0].message.content == "now"


async def test_streams_give_their_place_back(http: httpx2.AsyncClient) -> None:
    for _ in range(12):  # more than one workload may have at once
        async with http.stream(
            "POST",
            "/v1/chat/completions",
            json={
                "model": WORKLOAD,
                "messages": [{"role": "user", "content": "a b c d e f"}],
                "stream": True,
            },
        ) as response:
            assert response.status_code == 200  # and left after its first piece
    await answered(http, WORKLOAD)


async def test_ten_times_the_load_is_refused_at_once_and_the_service_lives(
    http: httpx2.AsyncClient,
) -> None:
    async def timed(number: int) -> tuple[int, float]:
        started = time.monotonic()
        response = await ask(http, (WORKLOAD, OTHER)[number % 2], f"load {number}")
        return response.status_code, time.monotonic() - started

    results = await asyncio.gather(*(timed(n) for n in range(160)))
    assert {status for status, _ in results} <= {200, 429, 503}
    refused = [seconds for status, seconds in results if status != 200]
    served = [seconds for status, seconds in results if status == 200]
    assert len(refused) > len(served) > 0
    # Refused without the guard and the engine; how fast in seconds is the bench's business.
    assert statistics.median(refused) < statistics.median(served)
    assert (await http.get("/healthz")).status_code == 200
