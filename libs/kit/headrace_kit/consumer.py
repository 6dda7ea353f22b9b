"""Control events: one record at a time, inbox and effect in one transaction, then the offset."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from opentelemetry.trace import SpanKind
from sqlalchemy.exc import IntegrityError

from headrace_events import Event, EventData, InvalidEvent, RawEvent, parse
from headrace_kit import telemetry
from headrace_kit.database import InboxRow
from headrace_kit.dead_letters import DeadLetters
from headrace_kit.metrics import EVENTS_HANDLED, HANDLER_SECONDS
from headrace_kit.unit_of_work import UnitOfWork, UnitsOfWork

_LOG = structlog.get_logger(__name__)

Handler = Callable[[Event[Any], UnitOfWork], Awaitable[None]]


class ControlConsumer:
    """Dispatches records to handlers by event type; unknown types are passed over."""

    def __init__(
        self,
        units: UnitsOfWork,
        dead_letters: DeadLetters,
        group: str,
        backoff: tuple[float, ...],
    ) -> None:
        self._units = units
        self._dead_letters = dead_letters
        self._group = group
        self._backoff = backoff
        self._models: dict[str, type[EventData]] = {}
        self._handlers: dict[str, list[Handler]] = defaultdict(list)

    def add(self, model: type[EventData], handler: Handler) -> None:
        """Call `handler` for events of `model`; several handlers share one transaction."""
        self._models[model.TYPE] = model
        self._handlers[model.TYPE].append(handler)

    @property
    def topics(self) -> list[str]:
        """The topics that hold the handled types."""
        return sorted({model.TOPIC for model in self._models.values()})

    @property
    def models(self) -> list[type[EventData]]:
        """The handled types."""
        return list(self._models.values())

    async def consume(self, record: "ConsumerRecord[Any, Any]") -> None:
        """Handle one record; return when its effect, or its dead letter, is durable."""
        try:
            raw = parse(dict(record.headers), record.value)
        except InvalidEvent as error:
            await self._dead_letters.write(record, error, attempts=1)
            return
        if raw.type not in self._models:
            return
        attempts = 0
        while True:
            attempts += 1
            try:
                await self._handle(raw, record)
                return
            except InvalidEvent as error:
                await self._dead_letters.write(record, error, attempts)
                EVENTS_HANDLED.labels(raw.type, "invalid").inc()
                return
            except Exception as error:  # noqa: BLE001 - whatever a handler raises is retried
                # Logged by class and place only: a message may quote what a user wrote.
                _LOG.warning(
                    "handler failed",
                    type=raw.type,
                    event_id=raw.attributes.get("id"),
                    attempt=attempts,
                    error=type(error).__name__,
                    where=_innermost(error),
                )
                if attempts > len(self._backoff):
                    await self._dead_letters.write(record, error, attempts)
                    EVENTS_HANDLED.labels(raw.type, "dead_lettered").inc()
                    return
                await asyncio.sleep(self._backoff[attempts - 1])

    async def _handle(self, raw: RawEvent, record: "ConsumerRecord[Any, Any]") -> None:
        event: Event[Any] = raw.load(self._models[raw.type])
        parent = telemetry.context_of(event.traceparent, event.tracestate)
        with (
            telemetry.span(
                f"process {record.topic}",
                kind=SpanKind.CONSUMER,
                parent=parent,
                attributes=consumer_attributes(event, record, self._group),
            ),
            HANDLER_SECONDS.labels(raw.type).time(),
        ):
            try:
                async with self._units.begin(cause=event) as uow:
                    if await uow.session.get(InboxRow, event.id):
                        EVENTS_HANDLED.labels(raw.type, "repeat").inc()
                        return
                    uow.session.add(InboxRow(event_id=event.id, handled_at=datetime.now(UTC)))
                    # The inbox row first: a second replica with the same event stops here.
                    await uow.session.flush()
                    for handler in self._handlers[raw.type]:
                        await handler(event, uow)
            except IntegrityError:
                async with self._units.begin() as uow:
                    if not await uow.session.get(InboxRow, event.id):
                        raise
                EVENTS_HANDLED.labels(raw.type, "repeat").inc()
                return
        EVENTS_HANDLED.labels(raw.type, "done").inc()


def consumer_attributes(
    event: Event[Any], record: "ConsumerRecord[Any, Any]", group: str
) -> Mapping[str, Any]:
    """Return OpenTelemetry's messaging attributes of a consumer span."""
    return {
        telemetry.SYSTEM: "kafka",
        telemetry.OPERATION: "process",
        telemetry.OPERATION_TYPE: "process",
        telemetry.DESTINATION: record.topic,
        telemetry.PARTITION: str(record.partition),
        telemetry.GROUP: group,
        telemetry.OFFSET: record.offset,
        telemetry.EVENT_ID: event.id,
        telemetry.EVENT_TYPE: event.type,
        telemetry.WORKLOAD: event.workload,
    }


def _innermost(error: BaseException) -> str:
    """Return `file:line` where the error arose."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "?"
