"""Create the topics of the catalogue; what exists stays as it is.

A cluster's one-shot job: `python -m headrace_kit.topics --replication-factor 3`, with the servers
in HEADRACE_KAFKA__BOOTSTRAP_SERVERS. The embedded stack calls `create_topics`.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from headrace_events.topics import CATALOGUE, Topic

_TOPIC_ALREADY_EXISTS = 36
_TRIES = 5


class TopicsRefused(RuntimeError):
    """The brokers did not make the topics; the message says what they answered."""


async def create_topics(
    bootstrap: str, catalogue: Iterable[Topic] = CATALOGUE, *, replication_factor: int = 1
) -> list[str]:
    """Create what is missing and return its names; raise TopicsRefused after a few tries."""
    wanted = list(catalogue)
    for attempt in range(1, _TRIES + 1):
        try:
            return await _create_missing(bootstrap, wanted, replication_factor)
        except (KafkaError, OSError) as error:
            # A node that has just started may answer before its controller leads.
            if attempt == _TRIES:
                raise TopicsRefused(f"Kafka at {bootstrap} takes no topics: {error}") from error
            await asyncio.sleep(0.3 * attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _create_missing(
    bootstrap: str, wanted: list[Topic], replication_factor: int
) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        missing = [
            NewTopic(
                topic.name,
                topic.partitions,
                replication_factor,
                topic_configs=topic.configuration(replication_factor),
            )
            for topic in wanted
            if topic.name not in existing
        ]
        if missing:
            response = await admin.create_topics(missing, timeout_ms=20_000)
            for name, code, *message in response.topic_errors:
                if code not in (0, _TOPIC_ALREADY_EXISTS):
                    raise KafkaError(f"topic {name}: error {code} {message}")
        return [topic.name for topic in missing]
    finally:
        await admin.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the one-shot job; return the exit status."""
    from headrace_kit.settings import ServiceSettings

    parser = argparse.ArgumentParser(prog="python -m headrace_kit.topics")
    parser.add_argument("--replication-factor", type=int, default=1)
    given = parser.parse_args(arguments)
    bootstrap = ServiceSettings().kafka.bootstrap_servers
    try:
        created = asyncio.run(create_topics(bootstrap, replication_factor=given.replication_factor))
    except TopicsRefused as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.writelines(f"created {name}\n" for name in created)
    sys.stdout.write(f"{len(CATALOGUE)} topics are there\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
