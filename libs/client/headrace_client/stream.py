"""A streamed answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace_client.answer import Answer
    from headrace_client.outcomes import Outcome, Waiting


class AnswerStream:
    """`async for text in stream`; afterwards `stream.answer` is the whole answer.

    The parts are checked text. Should one be lost (a service was killed) the rest comes in one
    piece at the end; `answer.text` is always the whole.
    """

    def __init__(
        self,
        waiting: "Waiting",
        finish: "Callable[[Outcome], Answer]",
        close: Callable[[], None],
        until: float,
        timeout_error: Callable[[], Exception],
    ) -> None:
        self._waiting = waiting
        self._finish = finish
        self._close = close
        self._until = until
        self._timeout_error = timeout_error
        self.answer: Answer | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        """Give the parts as they come."""
        given = ""
        try:
            while (part := await self._next_part()) is not None:
                given += part
                yield part
            self.answer = self._finish(self._waiting.outcome.result())
            if self.answer.text.startswith(given) and len(self.answer.text) > len(given):
                yield self.answer.text[len(given) :]
        finally:
            self._close()

    async def _next_part(self) -> str | None:
        # Around the wait alone: what the consumer does between two parts is its own business.
        try:
            async with asyncio.timeout_at(self._until):
                return await self._waiting.parts.get()
        except TimeoutError:
            raise self._timeout_error() from None
