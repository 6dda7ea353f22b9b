"""A request that could not become an event is refused before it is read."""

import httpx2
import pytest

from headrace_serving.app import build
from headrace_serving.settings import Settings


@pytest.mark.parametrize(
    ("path", "text"), [("/v1/chat/completions", "messages"), ("/v1/completions", "prompt")]
)
async def test_more_than_an_event_holds_is_413(tmp_path: object, path: str, text: str) -> None:
    service = build(Settings(database={"url": f"sqlite+aiosqlite:///{tmp_path}/s.db"}))
    await service.database.create()
    transport = httpx2.ASGITransport(app=service.api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://serving") as client:
        for size, status in ((1_000_000, 413), (400_000, 404)):
            written = "x" * size
            value = [{"role": "user", "content": written}] if text == "messages" else written
            answer = await client.post(path, json={"model": "nobody", text: value})
            assert answer.status_code == status, answer.text[:500]
            assert len(answer.text) < 1000
    await service.database.close()
