"""A consumer that does not stop by itself is stopped all the same."""

import asyncio

import pytest

from headrace_events import topics
from headrace_kafka import Consumer, give_up

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("group", [None, "headrace.test.stopping"])
async def test_a_consumer_whose_stop_fails_is_stopped_all_the_same(
    kafka: str, group: str | None
) -> None:
    consumer = Consumer(topics.FEEDBACK, bootstrap_servers=kafka, group_id=group)
    await consumer.start()
    await consumer.getmany(timeout_ms=200)

    async def fails() -> None:
        raise asyncio.CancelledError  # as aiokafka lets it out

    stop, consumer.stop = consumer.stop, fails
    await give_up(consumer)
    assert consumer._fetcher._fetch_task.done()
    assert not any(connection.connected() for connection in consumer._client._conns.values())
    await stop()
