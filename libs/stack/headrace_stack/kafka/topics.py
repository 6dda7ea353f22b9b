"""Create the topics of the catalogue, as the catalogue says, before anything writes to them."""

import asyncio
from collections.abc import Iterable

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from headrace_events.topics import CATALOGUE, Topic

from headrace_stack.errors import StackError

TOPIC_ALREADY_EXISTS = 36
TRIES = 5


def topic_configuration(topic: Topic) -> dict[str, str]:
    """The settings of one topic in Kafka's words."""
    if topic.cleanup == "compact":
        return {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
    return {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}


def create_topics(bootstrap: str, catalogue: Iterable[Topic] = CATALOGUE) -> None:
    """Create what is missing; from code that runs no event loop."""
    asyncio.run(create_topics_async(bootstrap, catalogue))


async def create_topics_async(bootstrap: str, catalogue: Iterable[Topic] = CATALOGUE) -> None:
    """Create what is missing; topics that exist stay as they are."""
    wanted = list(catalogue)
    for attempt in range(1, TRIES + 1):
        try:
            await _create_missing(bootstrap, wanted)
        except (KafkaError, OSError) as error:
            # A node that has just started may answer before its controller leads.
            if attempt == TRIES:
                raise StackError(f"Kafka at {bootstrap} takes no topics: {error}") from error
            await asyncio.sleep(0.3 * attempt)
        else:
            return


async def _create_missing(bootstrap: str, wanted: list[Topic]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        missing = [
            NewTopic(topic.name, topic.partitions, 1, topic_configs=topic_configuration(topic))
            for topic in wanted
            if topic.name not in existing
        ]
        if not missing:
            return
        response = await admin.create_topics(missing, timeout_ms=20_000)
        for name, code, *message in response.topic_errors:
            if code not in (0, TOPIC_ALREADY_EXISTS):
                raise KafkaError(f"topic {name}: error {code} {message}")
    finally:
        await admin.close()
