"""Create the topics of the catalogue on the embedded node, before anything writes to them."""

import asyncio
from collections.abc import Iterable

from headrace_events.topics import CATALOGUE, Topic
from headrace_kit import topics as kit_topics
from headrace_stack.errors import StackError


def create_topics(bootstrap: str, catalogue: Iterable[Topic] = CATALOGUE) -> None:
    """Create what is missing; from code that runs no event loop."""
    asyncio.run(create_topics_async(bootstrap, catalogue))


async def create_topics_async(bootstrap: str, catalogue: Iterable[Topic] = CATALOGUE) -> None:
    """Create what is missing; topics that exist stay as they are."""
    try:
        await kit_topics.create_topics(bootstrap, catalogue)
    except kit_topics.TopicsRefused as error:
        raise StackError(str(error)) from error
