"""Pytest fixtures that start real parts of the stack."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one real Kafka for the whole test session, with all topics; yield host:port.

    Tests share it: each uses workload names of its own (`unique_workload`).
    """
    from headrace_stack.kafka import EmbeddedKafka, create_topics  # noqa: PLC0415 - not every session needs a JVM

    home: Path = tmp_path_factory.mktemp("kafka")
    node = EmbeddedKafka(home)
    bootstrap = node.start()
    try:
        create_topics(bootstrap)
        yield bootstrap
    finally:
        node.stop()
