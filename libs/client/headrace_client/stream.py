"""A streamed answer."""

import asyncio
from collections.abc import AsyncIterator

from headrace_client.answer import Answer
from headrace_client.errors import Timeout
from headrace_client.pending import PendingAnswer


class AnswerStream(PendingAnswer):
    """`async for text in stream`; afterwards `stream.answer` is the whole answer.

    The parts are checked text. Should one be lost (a service was killed) the rest comes in one
    piece at the end; `answer.text` is always the whole.
    """

    answer: Answer | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        """Give the parts as they come; who leaves before the end cancels the request."""
        given = ""
        left: str | None = "caller"
        try:
            while (part := await self._next_part()) is not None:
                given += part
                yield part
            left = None
            self.answer = self._finish(self._waiting.outcome.result())
            if self.answer.text.startswith(given) and len(self.answer.text) > len(given):
                yield self.answer.text[len(given) :]
        except Timeout:
            left = "timeout"
            raise
        finally:
            if left:
                self._give_up(left)
            self._close()

    async def _next_part(self) -> str | None:
        # Around the wait alone: what the consumer does between two parts is its own business.
        try:
            async with asyncio.timeout_at(self._until):
                return await self._waiting.parts.get()
        except TimeoutError:
            raise Timeout(self._seconds, self.request_id) from None
