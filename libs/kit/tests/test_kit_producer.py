"""A record that the broker refuses must not spoil its partition for all that follow."""

import asyncio
from datetime import timedelta

import pytest
from aiokafka.errors import KafkaError

from headrace_events import topics
from headrace_kit.producer import Producer

pytestmark = pytest.mark.integration

# More than a topic takes by default, less than the client lets pass for dead letters.
TOO_LARGE = b"x" * 1_200_000


async def test_a_refused_record_does_not_wedge_the_producer(kafka: str) -> None:
    producer = Producer(kafka, "wedge", 1_000_000)
    await producer.start()
    await producer.send_raw(topics.RECORDS, b"k", b"before", [])
    with pytest.raises(KafkaError):
        await producer.send_raw(topics.RECORDS, b"k", TOO_LARGE, [])
    # aiokafka leaves a gap in the sequence behind: without a new producer this fails for ever.
    sent = []
    async with asyncio.timeout(timedelta(seconds=60).total_seconds()):
        while len(sent) < 3:
            try:
                await producer.send_raw(topics.RECORDS, b"k", b"after", [])
                sent.append(True)
            except KafkaError:
                await asyncio.sleep(0.1)
    await producer.stop()


async def test_the_largest_record_fits_into_the_dead_letters(kafka: str) -> None:
    producer = Producer(kafka, "large", 1_000_000)
    await producer.start()
    headers = [("headrace_dlq_topic", topics.RECORDS.encode())] * 20
    await producer.send_raw(topics.dlq("ingest"), b"k", b"x" * 1_048_000, headers)
    await producer.stop()
