"""A service as `build` wires it, on SQLite and without Kafka or engines: records in, events out."""

import importlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from sqlalchemy import select

from headrace_events import Event
from headrace_kit.database import OutboxRow
from headrace_kit.metrics import NOTICES_PASSED_OVER
from headrace_kit.producer import Producer

# Serving answers by its echo engine: no model, no Ray.
_SETTINGS: dict[str, dict[str, Any]] = {"serving": {"serving": {"engine": "echo"}}}


@dataclass
class Wired:
    """The service under test, and what it sent."""

    service: Any
    published: list[Event[Any]] = field(default_factory=list)
    dead: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    """Dead letters: the topic they came from and their headers."""
    passed_over: int = 0
    """Notices to every replica that it could not read."""
    _offset: int = 0

    @property
    def handled(self) -> set[str]:
        """The event types that the service reads."""
        return {model.TYPE for model in self.service.consumed}

    @property
    def dead_lettered(self) -> set[str]:
        """The handled types of which a broken one is kept.

        Not notices to every replica: each replica would write a dead letter of the same record,
        which stays in its topic, and an unheard cancellation costs only work.
        """
        hot_path = self.service.hot_path
        grouped = {name for stream in hot_path.streams for name in stream.models}
        notices = {name for heard in hot_path.broadcasts for name in heard.models}
        return self.handled - (notices - grouped)

    async def deliver(self, topic: str, headers: Mapping[str, str], body: bytes | None) -> None:
        """Hand one record to every consumer of its topic, as Kafka would."""
        self._offset += 1
        record = ConsumerRecord(
            topic=topic,
            partition=0,
            offset=self._offset,
            timestamp=0,
            timestamp_type=0,
            key=b"support-intents",
            value=body,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            headers=tuple((name, value.encode()) for name, value in headers.items()),
        )
        if topic in self.service._control.topics:
            await self.service._control.consume(record)
        for stream in self.service.hot_path.streams:
            if topic in stream.topics:
                await stream.consume([record])
        for broadcast in self.service.hot_path.broadcasts:
            if topic in broadcast.topics:
                count = NOTICES_PASSED_OVER.labels(topic)._value
                before = count.get()
                broadcast.take(record)
                self.passed_over += int(count.get() - before)

    async def emitted(self) -> list[tuple[str, dict[str, Any]]]:
        """Return type and payload of every event that the service would have sent."""
        async with self.service.unit_of_work() as uow:
            rows = list(await uow.session.scalars(select(OutboxRow)))
        found = [(row.type, json.loads(row.body)) for row in rows]
        return found + [(event.type, json.loads(event.body())) for event in self.published]


Wire = Callable[[str], AbstractAsyncContextManager[Wired]]


@pytest.fixture
def wired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Return `wired(service)`: a context in which the service takes records."""

    @asynccontextmanager
    async def wire(name: str) -> AsyncIterator[Wired]:
        found = Wired(None)

        async def publish(_self: Producer, events: Any, *_: Any, **__: Any) -> None:
            found.published.extend(events)

        async def send_raw(
            _self: Producer, _topic: str, _key: Any, _value: Any, headers: Any
        ) -> None:
            named = dict(headers)
            found.dead.append((named["headrace_dlq_topic"].decode(), named))

        monkeypatch.setattr(Producer, "publish", publish)
        monkeypatch.setattr(Producer, "send_raw", send_raw)
        package = f"headrace_{name.replace('-', '_')}"
        settings = importlib.import_module(f"{package}.settings").Settings(
            database={"url": f"sqlite+aiosqlite:///{tmp_path / 'service.db'}"},
            storage={"root": str(tmp_path / "storage")},
            # The first failure counts: a retry would hide it.
            kafka={"retry_backoff_seconds": (), "dead_letter_limit": 1000},
            **_SETTINGS.get(name, {}),
        )
        found.service = importlib.import_module(f"{package}.app").build(settings)
        await found.service.database.create()
        await found.service.workloads.load(found.service.database)
        for hook in found.service._start_hooks:
            await hook()
        try:
            yield found
        finally:
            for hook in reversed(found.service._stop_hooks):
                await hook()
            await found.service.database.close()

    return wire
