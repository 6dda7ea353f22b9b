"""Ask a workload over Kafka."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from headrace_client.answer import Answer
from headrace_client.connection import Connection
from headrace_client.errors import ConnectionLost, HeadraceError, rejected
from headrace_client.options import ChatOptions, Messages, turns
from headrace_client.outcomes import Outcome, Waiting
from headrace_client.pending import PendingAnswer
from headrace_client.settings import bootstrap_servers as find_bootstrap_servers
from headrace_client.stream import AnswerStream
from headrace_client.tracing import TraceIds
from headrace_events import Event, new_id
from headrace_events.inference import (
    FeedbackGiven,
    InferenceCancelRequested,
    InferenceRejected,
    InferenceRequested,
)
from headrace_events.text import fit_id, fit_text


class HeadraceClient:
    """`async with HeadraceClient() as client: answer = await client.chat("docs", "What is len?")`.

    One client serves many requests at once; `name` says in the events who asked. Any number of
    clients, in any number of processes, get their own answers.
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
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        """Connect; from here on no outcome is missed."""
        connection = Connection(self._servers)
        await connection.open()
        self._connection = connection
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
        """Disconnect; requests still under way get ConnectionLost here."""
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()

    async def chat(
        self, workload: str, messages: Messages, **options: Unpack[ChatOptions]
    ) -> Answer:
        """Ask and wait for the answer.

        Raises Timeout, ConnectionLost, or a Rejected: Blocked, DeadlineExceeded, Cancelled,
        UnknownWorkload, Overloaded, EngineFailed, InvalidRequest, GuardUnavailable.
        """
        pending = await self.submit(workload, messages, **options)
        return await pending.result()

    async def submit(
        self, workload: str, messages: Messages, **options: Unpack[ChatOptions]
    ) -> PendingAnswer:
        """Ask and return when the broker has the request; the answer can be awaited or cancelled.

        A request that is neither awaited nor cancelled is remembered until the client closes.
        """
        event, seconds, waiting, until = await self._ask(workload, messages, options, stream=False)
        connection = self._connected()
        return PendingAnswer(
            event.subject,
            waiting,
            seconds=seconds,
            until=until,
            finish=lambda outcome: self._answer(outcome, event),
            give_up=lambda reason: connection.notify(self._cancellation(event, reason)),
            cancel=lambda: connection.publish(self._cancellation(event, "caller")),
            close=lambda: connection.outcomes.forget(event.subject),
        )

    async def stream(
        self, workload: str, messages: Messages, **options: Unpack[ChatOptions]
    ) -> AsyncIterator[str]:
        """Ask and get the answer's text in pieces as it is made."""
        stream = await self.open_stream(workload, messages, **options)
        async for part in stream:
            yield part

    async def open_stream(
        self, workload: str, messages: Messages, **options: Unpack[ChatOptions]
    ) -> AnswerStream:
        """Like `stream`, for who needs the Answer (version, trace id) after the last piece."""
        event, seconds, waiting, until = await self._ask(workload, messages, options, stream=True)
        connection = self._connected()
        return AnswerStream(
            event.subject,
            waiting,
            seconds=seconds,
            until=until,
            finish=lambda outcome: self._answer(outcome, event),
            give_up=lambda reason: connection.notify(self._cancellation(event, reason)),
            cancel=lambda: connection.publish(self._cancellation(event, "caller")),
            close=lambda: connection.outcomes.forget(event.subject),
        )

    async def feedback(
        self,
        answer: Answer | str,
        *,
        rating: Literal[-1, 0, 1],
        workload: str | None = None,
        correction: str | None = None,
    ) -> None:
        """Say how good an answer was, or what it should have been; `answer` or its request id.

        Raises ValueError for an id or a text that no part of the way can carry.
        """
        if isinstance(answer, Answer):
            request_id, traceparent = answer.request_id, answer.traceparent
            workload = workload or answer.workload
        else:
            request_id, traceparent = answer, None
        if not workload:
            raise ValueError("feedback by request id needs `workload`")
        # Before the model does: pydantic's error would quote what was written.
        fit_id(request_id)
        fit_text(correction or "")
        given = FeedbackGiven(request_id=request_id, rating=rating, correction=correction)
        await self._connected().publish(
            Event[Any].new(
                given,
                source=self._name,
                workload=workload,
                subject=request_id,
                traceparent=traceparent or self._traces.traceparent(),
            )
        )

    async def _ask(
        self, workload: str, messages: Messages, options: ChatOptions, *, stream: bool
    ) -> tuple[Event[Any], float, Waiting, float]:
        """Publish a request; return its event, its time, who waits for it, and until when."""
        connection = self._connected()
        given: dict[str, Any] = dict(options)
        trace = given.pop("trace", None)
        timeout = given.pop("timeout", None)
        seconds = self._timeout if timeout is None else timeout
        until = asyncio.get_running_loop().time() + seconds
        request_id = new_id()
        data = InferenceRequested(
            request_id=request_id, messages=turns(messages), stream=stream, **given
        )
        event = Event[Any].new(
            data,
            source=self._name,
            workload=workload,
            subject=request_id,
            deadline=datetime.now(UTC) + timedelta(seconds=seconds),
            traceparent=self._traces.traceparent(trace),
        )
        waiting = connection.outcomes.expect(request_id)
        try:
            async with asyncio.timeout_at(until):
                await connection.publish(event)
        except TimeoutError:
            connection.outcomes.forget(request_id)
            raise ConnectionLost(
                f"Kafka at {self._servers} did not take the request within {seconds:g} s"
            ) from None
        except BaseException:
            connection.outcomes.forget(request_id)
            raise
        return event, seconds, waiting, until

    def _cancellation(self, event: Event[Any], reason: str) -> Event[Any]:
        data = InferenceCancelRequested.model_validate(
            {"request_id": event.subject, "reason": reason}
        )
        return Event[Any].new(
            data, source=self._name, workload=event.workload, subject=event.subject, cause=event
        )

    def _connected(self) -> Connection:
        if self._connection is None:
            raise HeadraceError("not connected: use `async with HeadraceClient(...) as client`")
        return self._connection

    @staticmethod
    def _answer(outcome: Outcome, event: Event[Any]) -> Answer:
        traceparent = event.traceparent or ""
        if isinstance(outcome, InferenceRejected):
            trace_id = outcome.trace_id or traceparent.split("-")[1]
            raise rejected(outcome.reason, outcome.detail, outcome.request_id, trace_id)
        return Answer.of(outcome, event.workload, traceparent)
