"""The hot path: micro-batches without a database, at least once, with derived ids."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from opentelemetry.trace import Span

from headrace_events import Event, EventData, parse
from headrace_kit import telemetry
from headrace_kit.dead_letters import DeadLetterLimitExceeded, DeadLetters
from headrace_kit.held import SomeHeld
from headrace_kit.metrics import EVENTS_HANDLED, HANDLER_SECONDS
from headrace_kit.refusals import is_too_large
from headrace_kit.retries import RetryPolicy

_LOG = structlog.get_logger(__name__)

Refuse = Callable[[Event[Any]], Sequence[Event[Any]]]
"""What is published instead of an event's outcomes when those are too large to be events."""
StreamHandler = Callable[[list[Event[Any]]], Awaitable[Sequence[Event[Any]] | None]]
PublishAll = Callable[[Sequence[Event[Any]]], Awaitable[None]]


class Stream:
    """Turns batches of records into batches of outcomes; returns when the broker has them."""

    def __init__(
        self,
        name: str,
        models: Sequence[type[EventData]],
        handler: StreamHandler,
        *,
        publish: PublishAll,
        dead_letters: DeadLetters,
        group: str,
        policy: RetryPolicy,
        fast: bool = False,
        replay_records: int = 0,
        refuse: Refuse | None = None,
    ) -> None:
        self.name = name
        self._refuse = refuse
        self._fast = fast
        self.handler = handler
        self.replay_records = replay_records
        """How many events a replay hands over at once; 0: the stream keeps no state."""
        self.models = {model.TYPE: model for model in models}
        self.group = group
        self._publish = publish
        self._dead_letters = dead_letters
        self._policy = policy
        self._seconds = HANDLER_SECONDS.labels(name)

    @property
    def topics(self) -> list[str]:
        """The topics of this lane that hold the handled types."""
        if self._fast:
            return sorted({model.FAST_TOPIC for model in self.models.values() if model.FAST_TOPIC})
        return sorted({model.TOPIC for model in self.models.values()})

    async def consume(self, records: Sequence["ConsumerRecord[Any, Any]"]) -> None:
        """Handle one micro-batch; poison is dead-lettered and does not reach the handler."""
        events: list[Event[Any]] = []
        spans: list[Span] = []
        kept: list[ConsumerRecord[Any, Any]] = []
        poison: list[tuple[ConsumerRecord[Any, Any], Exception]] = []
        for record in records:
            try:
                opened = self._open(record)
            except Exception as error:  # noqa: BLE001 - whatever it is, this record is not handled
                poison.append((record, _bare(error)))
                continue
            if opened:
                events.append(opened[0])
                spans.append(opened[1])
                kept.append(record)
        try:
            if poison:
                await self._handle_beside(poison, events, kept)
            elif events:
                await self._handle(events, kept)
        finally:
            for span in spans:
                span.end()

    def _open(self, record: "ConsumerRecord[Any, Any]") -> tuple[Event[Any], Span] | None:
        """Return the event and its span, None for a type that is not ours; raise InvalidEvent."""
        raw = parse(dict(record.headers), record.value)
        if raw.type not in self.models:
            return None
        span = telemetry.start_consumer_span(raw, record, self.group)
        # What the handler makes of the event is caused by this span. Set before the event is
        # made: a copy of it for one field costs more than the rest of the span.
        if traceparent := telemetry.traceparent_of(span):
            raw.attributes["traceparent"] = traceparent
        try:
            return raw.load(self.models[raw.type], record.topic), span
        except Exception as error:
            telemetry.fail(span, error)
            raise

    async def _handle_beside(
        self,
        poison: Sequence[tuple["ConsumerRecord[Any, Any]", Exception]],
        events: list[Event[Any]],
        records: list["ConsumerRecord[Any, Any]"],
    ) -> None:
        """Handle what is good while the broker takes the dead letters; both to their end."""

        left: list[ConsumerRecord[Any, Any]] = []

        async def bury() -> None:
            for number, (record, error) in enumerate(poison):
                try:
                    await self._dead_letters.write(record, error, attempts=1)
                except Exception:
                    left.extend(record for record, _ in poison[number:])
                    raise

        async def handle() -> None:
            try:
                if events:
                    await self._handle(events, records)
            except Exception:
                left.extend(records)
                raise

        results = await asyncio.gather(bury(), handle(), return_exceptions=True)
        failed = [result for result in results if isinstance(result, Exception)]
        for result in results:
            ends = isinstance(result, DeadLetterLimitExceeded) or result not in failed
            if ends and isinstance(result, BaseException):
                raise result
        for error in failed:
            # What is done is not done again each time that the rest is tried.
            raise SomeHeld(left, error) from error

    async def _handle(
        self, events: list[Event[Any]], records: list["ConsumerRecord[Any, Any]"]
    ) -> None:
        with self._seconds.time():
            await self._handle_or_give_up(events, records)

    async def _handle_or_give_up(
        self, events: list[Event[Any]], records: list["ConsumerRecord[Any, Any]"]
    ) -> None:
        retries = self._policy.begin()
        while True:
            retries.count()
            error = await self._attempt(events, retries.attempts)
            if error is None:
                return
            if is_too_large(error) or not await retries.wait():
                break
        if len(events) == 1:
            await self._give_up(events[0], records[0], error, retries.attempts)
            return
        # One event may spoil the whole batch: find it by handling each alone. Once: the batch has
        # waited its time, and the partition must go on.
        for event, record in zip(events, records, strict=True):
            error = await self._attempt([event], retries.attempts + 1)
            if error is not None:
                await self._give_up(event, record, error, retries.attempts + 1)

    async def _attempt(self, events: list[Event[Any]], number: int) -> Exception | None:
        # Not bounded in time: generating for a whole batch may take as long as it takes.
        try:
            await self._publish(await self.handler(events) or ())
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is retried
            _LOG.warning(
                "stream handler failed",
                stream=self.name,
                events=len(events),
                attempt=number,
                error=type(error).__name__,
            )
            return _bare(error)
        for name, count in Counter(event.type for event in events).items():
            EVENTS_HANDLED.labels(name, "done").inc(count)
        return None

    async def _give_up(
        self,
        event: Event[Any],
        record: "ConsumerRecord[Any, Any]",
        error: Exception,
        attempts: int,
    ) -> None:
        if is_too_large(error) and self._refuse:
            # Whoever waits for an answer gets one; as large again, it is a dead letter after all.
            try:
                await self._publish(self._refuse(event))
            except Exception as again:
                if not is_too_large(again):
                    raise  # held: the broker is away
            else:
                EVENTS_HANDLED.labels(event.type, "refused").inc()
                return
        await self._dead_letters.write(record, error, attempts)
        EVENTS_HANDLED.labels(event.type, "dead_lettered").inc()


def _bare(error: Exception) -> Exception:
    """Return the error without traceback and context, for whoever keeps it.

    Those hold the frame that keeps it, a circle, and the record. Garbage is collected seldom
    (`server.py`): with little traffic megabytes of poison stayed for hours.
    """
    error.__context__ = None
    return error.with_traceback(None)
