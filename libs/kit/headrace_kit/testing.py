"""Pytest fixtures for services: settings on a fresh database, and a service run in the test's loop.

A test module of a service takes them by name; the `kafka` fixture they stand on comes from
`headrace_stack.testing`, because only the stack can start a broker.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace_kit.settings import ServiceSettings


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
