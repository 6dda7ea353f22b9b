"""Ask a workload over Kafka."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from headrace_client.answer import Answer
from headrace_client.errors import HeadraceError, Rejected, Timeout, Unreachable
from headrace_client.outcomes import Outcome, Outcomes, Waiting
from headrace_client.settings import bootstrap_servers as find_bootstrap_servers
from headrace_client.stream import AnswerStream
from headrace_client.tracing import TraceIds
from headrace_events import Event, new_id
from headrace_events.inference import (
    FeedbackGiven,
    InferenceRejected,
    InferenceRequested,
    Message,
)

Messages = str | Sequence[Message | Mapping[str, str]]


class HeadraceClient:
    """`async with HeadraceClient() as client: answer = await client.chat("docs", "What is len?")`.

    One client serves many requests at once; `name` says in the events who asked.
    """

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        *,
        name: str = "client",
        timeout: float = 60.0,
        traces_per_second: float = 10.0,
    ) -> None:
        self._servers = find_bootstrap_servers(bootstrap_servers)
        self._name = name
        self._timeout = timeout
        self._traces = TraceIds(traces_per_second)
        self._outcomes: Outcomes | None = None
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        """Connect; from here on no outcome is missed."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._servers, acks="all", enable_idempotence=True
        )
        self._outcomes = Outcomes(self._servers)
        try:
            await self._producer.start()
            await self._outcomes.start()
        except KafkaConnectionError:
            await self.close()
            raise Unreachable(
                f"Kafka does not answer at {self._servers}: is the stack up? `headrace status`"
            ) from None
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        await self.close()

    async def close(self) -> None:
        """Disconnect; requests still under way get no answer here."""
        if self._outcomes:
            await self._outcomes.stop()
        if self._producer:
            await self._producer.stop()
        self._outcomes = self._producer = None

    async def chat(
        self,
        workload: str,
        messages: Messages,
        *,
        key: str | None = None,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        timeout: float | None = None,
        trace: bool | None = None,
    ) -> Answer:
        """Ask and wait for the answer.

        `key` (a user, a session) keeps its requests on one side of a canary. `trace=True` has the
        request's trace recorded whatever the rate. Raises Rejected or Timeout.
        """
        seconds = self._timeout if timeout is None else timeout
        event = self._request(
            workload,
            seconds,
            trace,
            messages=messages,
            key=key,
            max_tokens=max_tokens,
            temperature=temperature,
        )
        request_id = event.subject
        async with self._waiting_for(request_id) as waiting:
            try:
                async with asyncio.timeout(seconds):
                    await self._publish(event)
                    outcome = await waiting.outcome
            except TimeoutError:
                raise Timeout(seconds, request_id) from None
        return self._answer(outcome, event)

    async def stream(
        self,
        workload: str,
        messages: Messages,
        *,
        key: str | None = None,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        timeout: float | None = None,
        trace: bool | None = None,
    ) -> AsyncIterator[str]:
        """Ask and get the answer's text in pieces as it is made."""
        stream = await self.open_stream(
            workload,
            messages,
            key=key,
            max_tokens=max_tokens,
            temperature=temperature,
            timeout=timeout,
            trace=trace,
        )
        async for part in stream:
            yield part

    async def open_stream(
        self,
        workload: str,
        messages: Messages,
        *,
        key: str | None = None,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        timeout: float | None = None,
        trace: bool | None = None,
    ) -> AnswerStream:
        """Like `stream`, for who needs the Answer (version, trace id) after the last piece."""
        seconds = self._timeout if timeout is None else timeout
        event = self._request(
            workload,
            seconds,
            trace,
            messages=messages,
            key=key,
            max_tokens=max_tokens,
            temperature=temperature,
            stream=True,
        )
        outcomes = self._connected()
        waiting = outcomes.expect(event.subject)
        try:
            await self._publish(event)
        except BaseException:
            outcomes.forget(event.subject)
            raise
        return AnswerStream(
            waiting,
            finish=lambda outcome: self._answer(outcome, event),
            close=lambda: outcomes.forget(event.subject),
            until=asyncio.get_running_loop().time() + seconds,
            timeout_error=lambda: Timeout(seconds, event.subject),
        )

    async def feedback(
        self,
        answer: Answer | str,
        *,
        rating: Literal[-1, 0, 1],
        workload: str | None = None,
        correction: str | None = None,
    ) -> None:
        """Say how good an answer was, or what it should have been; `answer` or its request id."""
        if isinstance(answer, Answer):
            request_id, traceparent = answer.request_id, answer.traceparent
            workload = workload or answer.workload
        else:
            request_id, traceparent = answer, None
        if not workload:
            raise ValueError("feedback by request id needs `workload`")
        given = FeedbackGiven(request_id=request_id, rating=rating, correction=correction)
        await self._publish(
            Event[Any].new(
                given,
                source=self._name,
                workload=workload,
                subject=request_id,
                traceparent=traceparent or self._traces.traceparent(),
            )
        )

    def _request(
        self,
        workload: str,
        seconds: float,
        trace: bool | None,
        *,
        messages: Messages,
        **options: Any,
    ) -> Event[Any]:
        request_id = new_id()
        data = InferenceRequested(request_id=request_id, messages=_turns(messages), **options)
        return Event[Any].new(
            data,
            source=self._name,
            workload=workload,
            subject=request_id,
            deadline=datetime.now(UTC) + timedelta(seconds=seconds),
            traceparent=self._traces.traceparent(trace),
        )

    @asynccontextmanager
    async def _waiting_for(self, request_id: str) -> AsyncIterator[Waiting]:
        outcomes = self._connected()
        try:
            yield outcomes.expect(request_id)
        finally:
            outcomes.forget(request_id)

    async def _publish(self, event: Event[Any]) -> None:
        self._connected()
        headers = [(name, value.encode()) for name, value in event.headers().items()]
        try:
            assert self._producer  # noqa: S101 - narrows: connected says so
            await self._producer.send_and_wait(
                event.topic, event.body(), event.subject.encode(), headers=headers
            )
        except KafkaError as error:
            raise Unreachable(
                f"Kafka at {self._servers} did not take the event ({type(error).__name__})"
            ) from None

    def _connected(self) -> Outcomes:
        if self._outcomes is None:
            raise HeadraceError("not connected: use `async with HeadraceClient(...) as client`")
        return self._outcomes

    @staticmethod
    def _answer(outcome: Outcome, event: Event[Any]) -> Answer:
        traceparent = event.traceparent or ""
        if isinstance(outcome, InferenceRejected):
            trace_id = outcome.trace_id or traceparent.split("-")[1]
            raise Rejected(outcome.reason, outcome.detail, outcome.request_id, trace_id)
        return Answer.of(outcome, event.workload, traceparent)


def _turns(messages: Messages) -> tuple[Message, ...]:
    if isinstance(messages, str):
        return (Message(role="user", content=messages),)
    return tuple(
        message if isinstance(message, Message) else Message.model_validate(message)
        for message in messages
    )
