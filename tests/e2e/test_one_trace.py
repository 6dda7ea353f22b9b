"""One request is one trace, through guardrails, serving, ingest and monitor, Kafka edges linked."""

import asyncio
from typing import Any

import mlflow
import pytest

from headrace_client import HeadraceClient
from headrace_stack.testing import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WORKLOAD = "trace-e2e"
MANIFEST = f"""\
apiVersion: headrace/v1
kind: Workload
metadata: {{name: {WORKLOAD}, owner: tests}}
spec: {{serve: {{max_tokens: 8}}}}
"""
WANTED = {"guardrails", "serving", "ingest", "monitor"}
HOPS = {
    "process headrace.inference-requests",
    "process headrace.inference-admitted",
    "process headrace.inference-generated",
    "process headrace.inference-completed",
}


def spans_of(stack: RunningStack, trace_id: str) -> list[Any]:
    client = mlflow.MlflowClient(tracking_uri=stack.status()["mlflow"])
    try:
        return list(client.get_trace(f"tr-{trace_id}").data.spans)
    except Exception:  # noqa: BLE001 - it is not there yet, or not whole: the caller asks again
        return []


def service_of(span: Any) -> str:
    return str(span.attributes.get("headrace.service") or "")


async def test_spans_of_four_services_hang_together(stack: RunningStack, tmp_path) -> None:
    file = tmp_path / "workload.yaml"
    file.write_text(MANIFEST)
    assert stack.headrace("apply", "-f", str(file)).returncode == 0
    async with HeadraceClient(stack.status()["kafka"]) as client:
        answer = await client.chat(WORKLOAD, "What is a list?", trace=True, timeout=120)
    assert answer.trace_id
    spans: list[Any] = []
    for _ in range(60):
        spans = await asyncio.to_thread(spans_of, stack, answer.trace_id)
        # Each service exports its spans at times of its own.
        if {service_of(s) for s in spans} >= WANTED and {s.name for s in spans} >= HOPS:
            break
        await asyncio.sleep(1)
    assert {service_of(s) for s in spans} >= WANTED, [(service_of(s), s.name) for s in spans]

    by_id = {s.span_id: s for s in spans}

    def parent(span: Any) -> Any:
        return by_id.get(span.parent_id)

    # Each consumer hangs below the producer of the same topic, in another service or its own.
    consumers = [s for s in spans if s.name.startswith("process headrace.inference")]
    assert {s.name for s in consumers} >= HOPS
    for span in consumers:
        if span.name == "process headrace.inference-requests":
            continue  # its producer is the product service, which keeps its spans to itself
        sender = parent(span)
        assert sender is not None, f"{span.name} hangs in the air"
        assert sender.name == span.name.replace("process", "send")
    captured = [s for s in consumers if s.name == "process headrace.inference-completed"]
    assert {service_of(s) for s in captured} >= {"ingest", "monitor"}
