"""The trainer takes up whatever the log asks for, so its tests have a log of their own."""

from collections.abc import Iterator

import pytest

from headrace_stack.testing import running_kafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kafka that no other service's tests write to."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield bootstrap
