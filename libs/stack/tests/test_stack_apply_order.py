"""What is applied last holds, whatever the clocks of those who apply say."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from headrace_events import Event, new_id
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Service
from headrace_stack.manifests import publish

pytestmark = pytest.mark.integration


def manifest_of(name: str, owner: str) -> Manifest:
    return Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": name, "owner": owner},
        }
    )


async def test_a_clock_that_is_ahead_shuts_out_nobody(
    kafka: str, settings_for: Callable[..., Any]
) -> None:
    name = f"clocks-{new_id()[:13]}"
    service = Service("registry", settings_for())
    await service.database.create()
    manifest = manifest_of(name, "ahead")
    ahead: Event[Any] = Event.new(
        WorkloadApplied(revision=manifest.revision(), manifest=manifest),
        source="stack",
        workload=name,
    )
    ahead = ahead.model_copy(update={"time": ahead.time + timedelta(minutes=20)})
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        headers = [(key, value.encode()) for key, value in ahead.headers().items()]
        await producer.send_and_wait(ahead.topic, ahead.body(), name.encode(), headers=headers)
    await publish(kafka, manifest_of(f"{name}-2", "another"))  # of another workload
    second, third = [await publish(kafka, manifest_of(name, owner)) for owner in ("b", "c")]
    for event, owner in ((ahead, "ahead"), (second, "b"), (third, "c")):
        await service.replayable.control.replay(event)
        held = service.workloads.get(name)
        assert held is not None and held.metadata.owner == owner
    assert third.time - ahead.time < timedelta(seconds=1)
    await service.database.close()
