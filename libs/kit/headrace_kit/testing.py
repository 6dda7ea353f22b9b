"""Pytest fixtures for services: settings on a fresh database, and a service run in the test's loop.

A test module of a service takes them by name; the `kafka` fixture they stand on comes from
`headrace_stack.testing`, because only the stack can start a broker.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace_kit.settings import ServiceSettings
from headrace_kit.testing_postgres import PostgresCluster, PostgresMissing, postgres_cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """Run one temporary PostgreSQL for the test session; skip where there is none."""
    try:
        with postgres_cluster() as cluster:
            yield cluster
    except PostgresMissing as error:
        pytest.skip(str(error))


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)],
)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database; a test that takes it runs on SQLite and PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'kit.db'}"
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    return cluster.fresh()


@pytest.fixture
def settings_for(kafka: str, tmp_path: Path) -> Callable[..., Any]:
    """Return `make(SettingsClass, **overrides)`: settings of a service on the real Kafka."""

    def make(cls: type[ServiceSettings] = ServiceSettings, **overrides: Any) -> Any:
        fields: dict[str, Any] = {
            "kafka": {"bootstrap_servers": kafka, "retry_backoff_seconds": (0.05, 0.1)},
            "database": {"url": f"sqlite+aiosqlite:///{tmp_path / 'service.db'}"},
            "storage": {"root": str(tmp_path / "storage")},
        }
        return cls(**{**fields, **overrides})

    return make
