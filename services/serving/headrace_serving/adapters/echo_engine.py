"""An engine without a model: it says the last message again, for benches and tests of the path."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from headrace_serving.core.generation import Adapter, Piece, Prompt


class EchoEngine:
    """Answers a batch with its questions after a set time; a word counts as a token."""

    def __init__(self, milliseconds: float) -> None:
        self._seconds = milliseconds / 1000
        self.ready = False

    async def start(self, base: str) -> None:
        """Be ready at once."""
        self.ready = True

    async def check(self, base: str) -> None:
        """Nothing can be lost."""

    async def stop(self) -> None:
        """Nothing runs."""

    async def load(self, base: str, adapter: Adapter) -> None:
        """Every adapter changes nothing."""

    async def generate(
        self, base: str, adapter: Adapter | None, batch: Sequence[Prompt]
    ) -> AsyncIterator[Sequence[Piece]]:
        """Answer in one step, or word by word where a stream is asked for.

        The set time is one batch's; where there are streams it is spread over their words.
        """
        answers = [_Answer(row, prompt) for row, prompt in enumerate(batch)]
        steps = max((len(answer.words) for answer in answers if answer.streamed), default=1)
        for step in range(max(steps, 1)):
            if self._seconds:
                await asyncio.sleep(self._seconds / steps)
            last = step == steps - 1
            pieces = [piece for answer in answers if (piece := answer.piece(step, last=last))]
            if pieces:
                yield pieces


class _Answer:
    """What one row of a batch is answered, piece by piece or whole."""

    def __init__(self, row: int, prompt: Prompt) -> None:
        self._row = row
        self.streamed = prompt.stream
        asked = [content.split() for _, content in prompt.messages]
        self.words = asked[-1][: prompt.max_tokens] or [""]
        self._input_tokens = sum(map(len, asked))
        self._cut = len(asked[-1]) > prompt.max_tokens

    def piece(self, step: int, *, last: bool) -> Piece | None:
        """What comes in a step; a streamed word brings the space before it."""
        if not self.streamed:
            return self._end(" ".join(self.words)) if last else None
        if step >= len(self.words):
            return None
        text = f" {self.words[step]}" if step else self.words[step]
        return self._end(text) if step == len(self.words) - 1 else Piece(self._row, text)

    def _end(self, text: str) -> Piece:
        return Piece(
            self._row,
            text,
            input_tokens=self._input_tokens,
            output_tokens=len(self.words),
            finish_reason="length" if self._cut else "stop",
        )
