"""Control events: one record at a time, inbox and effect in one transaction, then the offset."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from opentelemetry.trace import SpanKind
from sqlalchemy.exc import IntegrityError

from headrace_events import Event, EventData, InvalidEvent, RawEvent, parse
from headrace_kit import inbox, telemetry
from headrace_kit.dead_letters import DeadLetters
from headrace_kit.metrics import EVENTS_HANDLED, HANDLER_SECONDS
from headrace_kit.retries import RetryPolicy
from headrace_kit.unit_of_work import EventTooLarge, UnitOfWork, UnitsOfWork

_LOG = structlog.get_logger(__name__)
_DATABASE_AWAY_SECONDS = 2.0

_FINAL = (InvalidEvent, EventTooLarge)

Handler = Callable[[Event[Any], UnitOfWork], Awaitable[None]]


class ControlConsumer:
    """Dispatches records to handlers by event type; unknown types are passed over."""

    def __init__(
        self,
        units: UnitsOfWork,
        dead_letters: DeadLetters,
        group: str,
        policy: RetryPolicy,
    ) -> None:
        self._units = units
        self._dead_letters = dead_letters
        self._group = group
        self._policy = policy
        self.database_away = False
        """Whether a record is held because the database does not answer."""
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
        except Exception as error:  # noqa: BLE001 - whatever it is, this record is no event
            await self._dead_letters.write(record, error, attempts=1)
            return
        if raw.type not in self._models:
            return
        retries = self._policy.begin()
        while True:
            try:
                async with retries.attempt():
                    await self._handle(raw, record)
                return
            except _FINAL as error:  # another attempt ends the same way
                await self._dead_letters.write(record, error, retries.attempts)
                EVENTS_HANDLED.labels(raw.type, "invalid").inc()
                return
            except Exception as error:  # noqa: BLE001 - whatever a handler raises is retried
                # Logged by class and place only: a message may quote what a user wrote.
                _LOG.warning(
                    "handler failed",
                    type=raw.type,
                    event_id=raw.attributes.get("id"),
                    attempt=retries.attempts,
                    error=type(error).__name__,
                    where=_innermost(error),
                )
                if await retries.wait():
                    continue
                if await self._database_was_away():
                    retries.grant_more_time()
                    continue
                await self._dead_letters.write(record, error, retries.attempts)
                EVENTS_HANDLED.labels(raw.type, "dead_lettered").inc()
                return

    async def _database_was_away(self) -> bool:
        """Wait until the database answers; False if it does at once.

        Without it no record at all could be handled: each would end up among the dead letters.
        """
        while not await self._units.reachable():
            self.database_away = True
            _LOG.error("the database does not answer; the partition waits")
            await asyncio.sleep(_DATABASE_AWAY_SECONDS)
        was_away, self.database_away = self.database_away, False
        return was_away

    async def replay(self, event: Event[Any]) -> None:
        """Take an event of the log in once more, into an empty database."""
        async with self._units.begin(cause=event) as uow:
            if not await inbox.is_known(uow.session, event):
                await inbox.take(uow.session, event)
                for handler in self._handlers[event.type]:
                    await handler(event, uow)

    async def _handle(self, raw: RawEvent, record: "ConsumerRecord[Any, Any]") -> None:
        event: Event[Any] = raw.load(self._models[raw.type], record.topic)
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
                    if await inbox.is_known(uow.session, event):
                        EVENTS_HANDLED.labels(raw.type, "repeat").inc()
                        return
                    await inbox.take(uow.session, event)
                    for handler in self._handlers[raw.type]:
                        await handler(event, uow)
            except IntegrityError:
                async with self._units.begin() as uow:
                    if not await inbox.is_known(uow.session, event):
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
