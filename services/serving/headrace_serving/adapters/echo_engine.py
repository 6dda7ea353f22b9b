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
        answers = [_words(prompt) for prompt in batch]
        steps = max(
            (len(words) for prompt, words in zip(batch, answers, strict=True) if prompt.stream),
            default=1,
        )
        for step in range(max(steps, 1)):
            if self._seconds:
                await asyncio.sleep(self._seconds / steps)
            pieces = [
                piece
                for row, prompt in enumerate(batch)
                if (piece := _piece(row, prompt, answers[row], step, last=step == steps - 1))
            ]
            if pieces:
                yield pieces


def _words(prompt: Prompt) -> list[str]:
    """The answer, each word with the space before it."""
    words = prompt.messages[-1][1].split()[: prompt.max_tokens] or [""]
    return [words[0], *(f" {word}" for word in words[1:])]


def _piece(row: int, prompt: Prompt, words: list[str], step: int, *, last: bool) -> Piece | None:
    asked = prompt.messages[-1][1].split()
    if prompt.stream and step < len(words) - 1:
        return Piece(row, words[step])
    if prompt.stream and step > len(words) - 1:
        return None
    if not prompt.stream and not last:
        return None
    return Piece(
        row,
        words[step] if prompt.stream else "".join(words),
        input_tokens=sum(len(content.split()) for _, content in prompt.messages),
        output_tokens=len(words),
        finish_reason="length" if len(asked) > prompt.max_tokens else "stop",
    )
