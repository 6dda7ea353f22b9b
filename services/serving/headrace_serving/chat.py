"""One request of the HTTP path: place, verdict, version, generation, verdict, captured outcome."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import structlog

from headrace_events import Event, EventData
from headrace_events.inference import InferenceCompleted, Message, Usage
from headrace_events.workload import Manifest
from headrace_kit.telemetry import trace_id_of
from headrace_kit.unit_of_work import EventTooLarge
from headrace_serving.adapters.guard import GuardClient
from headrace_serving.core.admission import Admission, Slot
from headrace_serving.core.batching import Generated
from headrace_serving.core.ending import (
    CAME_TOO_LATE,
    GONE,
    NO_ROOM,
    STOPPED,
    TOO_LARGE,
    Ending,
    Unanswered,
    blocked,
    ending_of,
    too_many,
)
from headrace_serving.core.generation import Prompt
from headrace_serving.core.routing import Choice
from headrace_serving.generating import Generator, Request
from headrace_serving.inference import SOURCE, Pin
from headrace_serving.outcomes import Outcomes

_LOG = structlog.get_logger(__name__)
_GUARD_SECONDS = 0.1  # a growing answer is checked at most this often
FILTERED = "content_filter"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller of HTTP asks."""

    request_id: str
    manifest: Manifest
    messages: tuple[Message, ...] = field(repr=False)
    prompt: Callable[[tuple[Message, ...]], Prompt]
    """What the engine gets, of the messages as guardrails let them through."""
    key: str | None
    deadline: float
    own_deadline: bool
    """Whether the deadline is this service's: the caller gave none."""
    traceparent: str
    urgent: bool
    version: str | None = None
    """The version that the caller chose; none: the route of the moment decides."""

    @property
    def workload(self) -> str:
        """Who answers."""
        return self.manifest.metadata.name


@dataclass(slots=True)
class Outcome:
    """How an answer ended; `text` is what may be shown."""

    text: str
    finish_reason: str
    answer: Generated


Piece = tuple[Choice, str | Outcome]


class Chat:
    """Answers HTTP requests and captures them as the Kafka path does."""

    def __init__(
        self,
        generator: Generator,
        guard: GuardClient,
        outcomes: Outcomes,
        most_per_workload: int,
        pin: Pin,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.pin = pin
        self.admission = Admission(most_per_workload)
        self.generator = generator
        self.guard = guard
        self.outcomes = outcomes
        self.stopping = stopping

    def answer(self, asked: Asked) -> AsyncGenerator[Piece]:
        """Checked text in pieces (if the request streams), the outcome last; raise Unanswered.

        The text that is shown is always a prefix of what the checks make of the whole. However it
        ends, also when the caller goes away and the generator is closed, one outcome is told.
        """
        return _Exchange(self, asked).run()


class _Exchange:
    """One request from its place in the service to its one outcome."""

    def __init__(self, chat: Chat, asked: Asked) -> None:
        self._chat = chat
        self._asked = asked
        self._slot: Slot | None = None
        self._choice: Choice | None = None
        self._pinned: Choice | None = None
        self._ended = False

    async def run(self) -> AsyncGenerator[Piece]:
        try:
            self._take_place()
            await self._pin()
            messages = await self._admit()
            async with aclosing(self._answer(messages)) as pieces:
                async for piece in pieces:
                    yield self._chosen, piece
        except Unanswered as error:
            self._choice = error.choice or self._choice
            self._end(error.ending)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            self._end(STOPPED if self._chat.stopping() else GONE)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, it is an end
            # Its text may quote what the caller sent.
            _LOG.error(
                "an answer failed", error=type(error).__name__, workload=self._asked.workload
            )
            ending = ending_of(error)
            self._end(ending)
            raise Unanswered(ending) from None
        finally:
            if self._slot:
                self._slot.release()

    @property
    def _chosen(self) -> Choice:
        assert self._choice  # noqa: S101 - chosen before the first piece
        return self._choice

    def _take_place(self) -> None:
        """Decided before anything else is done for the request: a refusal must cost little."""
        if self._chat.generator.full(urgent=self._asked.urgent):
            raise Unanswered(NO_ROOM)
        self._slot = self._chat.admission.take(self._asked.workload)
        if self._slot is None:
            raise Unanswered(too_many(self._asked.workload))

    async def _pin(self) -> None:
        asked = self._asked
        if asked.version is not None:
            base = asked.manifest.spec.base
            self._pinned = await self._chat.pin(asked.workload, asked.version, base)

    async def _admit(self) -> tuple[Message, ...]:
        """The messages as guardrails let them through."""
        asked = self._asked
        if time.time() > asked.deadline:
            raise Unanswered(CAME_TOO_LATE)
        verdict = await self._chat.guard.input(
            asked.workload, asked.request_id, asked.messages, asked.traceparent
        )
        if verdict.action == "block" or verdict.messages is None:
            raise Unanswered(blocked("input", verdict.detail))
        return verdict.messages

    async def _answer(self, messages: tuple[Message, ...]) -> AsyncGenerator[str | Outcome]:
        asked, started = self._asked, time.time()
        prompt = asked.prompt(messages)
        request = Request(
            workload=asked.workload,
            request_id=asked.request_id,
            key=asked.key,
            prompt=prompt,
            deadline=asked.deadline,
            traceparent=asked.traceparent,
            urgent=asked.urgent,
            own_deadline=asked.own_deadline,
            pinned=self._pinned,
        )
        text, shown, checked_at = "", "", 0.0
        async with aclosing(self._chat.generator.answer(asked.manifest, request)) as pieces:
            async for choice, piece in pieces:
                self._choice = choice
                if isinstance(piece, Generated):
                    outcome = await self._outcome(choice, messages, piece, started)
                    # A blocked answer ends where it is; what was shown before was free of doubt.
                    if prompt.stream and len(outcome.text) > len(shown):
                        yield outcome.text[len(shown) :]
                    yield outcome
                    return
                text += piece
                if time.monotonic() - checked_at >= _GUARD_SECONDS:
                    released = await self._released(text)
                    checked_at = time.monotonic()
                    if len(released) > len(shown):
                        yield released[len(shown) :]
                        shown = released
        raise Unanswered(ending_of(RuntimeError()), self._choice)

    async def _released(self, text: str) -> str:
        """What may be shown of a growing answer; of a blocked one nothing more."""
        asked = self._asked
        verdict = await self._chat.guard.output(
            asked.workload, asked.request_id, text, asked.traceparent, final=False
        )
        return (verdict.text or "") if verdict.action != "block" else ""

    async def _outcome(
        self, choice: Choice, messages: tuple[Message, ...], answer: Generated, started: float
    ) -> Outcome:
        """The verdict on the whole answer, captured."""
        asked = self._asked
        verdict = await self._chat.guard.output(
            asked.workload, asked.request_id, answer.text, asked.traceparent
        )
        if verdict.action == "block":
            self._end(blocked("output", verdict.detail))
            return Outcome("", FILTERED, answer)
        text = verdict.text or ""
        completed = InferenceCompleted(
            request_id=asked.request_id,
            messages=messages,
            text=text,
            model=asked.workload,
            model_version=choice.model.version,
            arm=choice.arm,
            finish_reason=answer.finish_reason,
            usage=Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens),
            latency_ms=(time.time() - started) * 1000,
            trace_id=trace_id_of(asked.traceparent),
            via="http",
            pinned=choice.pinned,
        )
        self._ended = True  # from here on this is the outcome, also if the caller goes away
        try:
            await self._chat.outcomes.told(self._event(completed))
        except EventTooLarge:
            self._ended = False
            raise Unanswered(TOO_LARGE, choice) from None
        return Outcome(text, answer.finish_reason, answer)

    def _end(self, ending: Ending) -> None:
        """Tell how it ended, unless it has ended already."""
        if self._ended:
            return
        self._ended = True
        asked = self._asked
        trace_id = trace_id_of(asked.traceparent)
        pinned = asked.version is not None
        fact = ending.event(asked.request_id, self._choice, trace_id, "http", pinned=pinned)
        self._chat.outcomes.tell(self._event(fact))

    def _event(self, fact: EventData) -> Event[Any]:
        return Event[Any].new(
            fact,
            source=SOURCE,
            workload=self._asked.workload,
            subject=self._asked.request_id,
            traceparent=self._asked.traceparent or None,
        )
