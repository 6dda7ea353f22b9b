"""One span for each request that somebody made, none for probes, and none with what was sent."""

import pytest
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from headrace_kit import telemetry
from headrace_kit.http import make_api


class Note(BaseModel):
    """What the test's endpoint takes."""

    stars: int


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(telemetry, "_TRACER", provider.get_tracer("headrace"))
    return exporter


@pytest.fixture
def client(spans: InMemorySpanExporter) -> TestClient:
    api = make_api("test", "1", lambda: {}, lambda: False, None)

    @api.post("/notes/{number}")
    async def take(number: int, note: Note) -> dict[str, int]:
        return {"number": number + note.stars}

    return TestClient(api)


def test_probes_leave_no_span(client: TestClient, spans: InMemorySpanExporter) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/version"):
        assert client.get(path).status_code == 200
    assert spans.get_finished_spans() == ()


def test_a_request_is_one_span_under_its_route(
    client: TestClient, spans: InMemorySpanExporter
) -> None:
    assert client.post("/notes/1", json={"stars": 2}).json() == {"number": 3}
    assert client.post("/notes/1", json={"stars": "a secret"}).status_code == 400
    found = spans.get_finished_spans()
    assert [span.name for span in found] == ["POST /notes/{number}"] * 2
    assert "a secret" not in "".join(span.to_json() for span in found)
