"""A sample product service: asks over Kafka, and says what the answer should have been."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace_client import Answer, HeadraceClient, HeadraceError

_IN_FLIGHT = 12
_PAUSE_SECONDS = 0.3


@dataclass(frozen=True)
class Question:
    """What a user asks, and what the product's people know to be the answer."""

    prompt: str = field(repr=False)
    completion: str = field(repr=False)


@dataclass
class Tally:
    """What the product saw."""

    asked: int = 0
    answered: int = 0
    corrected: int = 0
    by_version: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


class Product:
    """Sends questions round and round while somebody wants traffic."""

    def __init__(
        self, client: HeadraceClient, workload: str, questions: Sequence[Question], feedback: int
    ) -> None:
        self._client = client
        self._workload = workload
        self._questions = questions
        self._feedback = feedback
        self._wanted = asyncio.Event()
        self._corrected: set[str] = set()
        self.tally = Tally()

    def open(self) -> None:
        """Users come."""
        self._wanted.set()

    def close(self) -> None:
        """Users go."""
        self._wanted.clear()

    async def run(self) -> None:
        """Serve users for ever, a few at a time."""
        numbered = itertools.count()
        async with asyncio.TaskGroup() as group:
            for _ in range(_IN_FLIGHT):
                group.create_task(self._user(numbered))

    async def _user(self, numbered: "itertools.count[int]") -> None:
        while True:
            await self._wanted.wait()
            number = next(numbered)
            question = self._questions[number % len(self._questions)]
            self.tally.asked += 1
            try:
                answer = await self._client.chat(
                    self._workload, question.prompt, key=f"user-{number}", timeout=60
                )
            except HeadraceError as error:
                # A restarting service may cost a request its deadline; a user asks again.
                self.tally.errors[getattr(error, "reason", type(error).__name__)] += 1
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self.tally.answered += 1
            self.tally.by_version[answer.model_version] += 1
            await self._judge(question, answer)

    async def _judge(self, question: Question, answer: Answer) -> None:
        """The product's people correct as many answers as start a turn, each question once."""
        if len(self._corrected) >= self._feedback or question.prompt in self._corrected:
            return
        self._corrected.add(question.prompt)
        right = answer.text.strip().casefold() == question.completion.strip().casefold()
        await self._client.feedback(
            answer, rating=1 if right else -1, correction=question.completion
        )
        self.tally.corrected += 1


async def ask(client: HeadraceClient, workload: str, questions: Sequence[Question]) -> list[Answer]:
    """Ask a few questions, patiently: the workload may have been applied a moment ago."""
    return list(
        await asyncio.gather(
            *(client.chat(workload, q.prompt, key="demo", timeout=120) for q in questions)
        )
    )
