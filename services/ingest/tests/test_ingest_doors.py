"""What comes in over HTTP: it fits all the way, or is refused at the door with its reason."""

import json
from typing import Any

import httpx2
import pytest

from headrace_events import parse
from headrace_events.cloudevents import InvalidEvent
from headrace_events.inference import FeedbackGiven, InferenceRequested

JSON = {"content-type": "application/json"}


@pytest.fixture
async def client(bench: Any) -> httpx2.AsyncClient:
    await bench.apply("support")
    transport = httpx2.ASGITransport(app=bench.service.api)
    return httpx2.AsyncClient(transport=transport, base_url="http://ingest")


def feedback(**fields: str) -> str:
    given = {"request_id": "r1", "workload": "support"} | fields
    return "{" + ", ".join(f'"{name}": "{text}"' for name, text in given.items()) + "}"


def refused(answer: httpx2.Response, param: str | None, status: int = 400) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param
    assert len(answer.text) < 1000


@pytest.mark.parametrize(
    "text", ["a\\nb", "a\\u0000", "\\u007f", "\\u0085", "\\ud83d", "\\ude00a", "", "x" * 129]
)
async def test_an_id_that_no_event_can_carry(
    bench: Any, client: httpx2.AsyncClient, text: str
) -> None:
    body = feedback(request_id=text)
    refused(await client.post("/v1/feedback", content=body, headers=JSON), "request_id")
    assert await bench.outbox("feedback.") == []


@pytest.mark.parametrize("text", ["r1", "x" * 128, "kérés-1 \U0001f600", "\\ud83d\\ude00"])
async def test_an_id_that_is_taken_reaches_its_consumer(
    bench: Any, client: httpx2.AsyncClient, text: str
) -> None:
    body = feedback(request_id=text)
    answer = await client.post("/v1/feedback", content=body, headers=JSON)
    assert answer.status_code == 202, answer.text
    (row,) = await bench.outbox("feedback.")
    raw = parse({name: value.encode() for name, value in row.headers.items()}, row.body)
    event = raw.load(FeedbackGiven)
    assert event.data.request_id == event.subject == answer.json()["request_id"]


@pytest.mark.parametrize("field", ["correction", "workload"])
@pytest.mark.parametrize("text", ["half \\ud83d", "\\udfff", "zero \\u0000"])
async def test_text_that_no_database_can_hold(
    bench: Any, client: httpx2.AsyncClient, field: str, text: str
) -> None:
    body = feedback(**{field: text})
    refused(await client.post("/v1/feedback", content=body, headers=JSON), field)
    assert await bench.outbox("feedback.") == []


async def test_a_correction_has_a_bound(bench: Any, client: httpx2.AsyncClient) -> None:
    async def send(characters: str) -> httpx2.Response:
        return await client.post("/v1/feedback", content=feedback(correction=characters),
                                 headers=JSON)  # fmt: skip

    refused(await send("x" * 2_400_000), None, 413)
    refused(await send("x" * 100_001), "correction")
    # The worst way to write it still fits into an event.
    assert (await send("\\u0001" * 100_000)).status_code == 202
    assert (await send("\U0001f600" * 100_000)).status_code == 202
    assert [len(json.loads(row.body)["correction"]) for row in await bench.outbox("feedback.")] == [
        100_000, 100_000,
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["path", "prompt", "completion"])
@pytest.mark.parametrize("text", ["half \\ud83d", "zero \\u0000", "\\n", "x" * 10_000])
async def test_a_preview_of_what_cannot_be(
    bench: Any, client: httpx2.AsyncClient, field: str, text: str
) -> None:
    (bench.folder / "a.csv").write_text("text,label\na,b\n")
    source = {"type": "file", "path": str(bench.folder / "a.csv"), field: "HERE"}
    body = json.dumps(source).replace("HERE", text)
    answer = await client.post("/sources/preview", content=body, headers=JSON)
    assert answer.status_code == 400, answer.text
    assert len(answer.text) < 1000


async def test_a_file_with_an_odd_name_lands(bench: Any, client: httpx2.AsyncClient) -> None:
    name = "a\x01\x7f" + "é" * 300 + ".csv"
    files = {"file": (name, b"prompt,completion\na,b\n")}
    form = {"purpose": "fine-tune", "workload": "support"}
    answer = await client.post("/v1/files", files=files, data=form)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["filename"]) <= 200
    await bench.run_jobs()
    (row,) = await bench.outbox("records.")
    parse({n: v.encode() for n, v in row.headers.items()}, row.body)


@pytest.mark.parametrize("field", ["purpose", "workload", "prompt", "completion"])
async def test_form_fields_have_bounds(client: httpx2.AsyncClient, field: str) -> None:
    files = {"file": ("a.csv", b"prompt,completion\na,b\n")}
    for text in ("a\x00b", "x" * 1000):
        form = {"purpose": "fine-tune", "workload": "support", field: text}
        refused(await client.post("/v1/files", files=files, data=form), field)


async def test_a_file_over_the_bound_is_413(bench: Any, client: httpx2.AsyncClient) -> None:
    limit = bench.service.settings.max_file_bytes
    for size in (limit + 1, limit + 100_000):
        sent = {"file": ("a.bin", b"x" * size)}
        answer = await client.post("/v1/files", files=sent, data={"purpose": "assistants"})
        assert answer.status_code == 413


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a\u0000b", "a\nb", "a\u0085"])
def test_an_event_from_outside_with_such_an_id_is_dead_at_once(request_id: str) -> None:
    for model, fields in (
        (FeedbackGiven, {"rating": 1}),
        (InferenceRequested, {"messages": [{"role": "user", "content": "a"}]}),
    ):
        headers = {"ce_id": "1", "ce_source": "/s", "ce_type": model.TYPE, "ce_specversion": "1.0"}
        body = json.dumps({"request_id": request_id, **fields}).encode()
        with pytest.raises(InvalidEvent, match="request_id: value_error"):
            parse(headers, body).load(model)
