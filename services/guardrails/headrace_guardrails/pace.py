"""How the checks share the event loop with everything else of the service."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from headrace_events.inference import Message

T = TypeVar("T")

# The worst text of this length that we know takes 5 ms; a longer one is judged in a thread (RE2
# lets go of the interpreter's lock). Ordinary ones are shorter, and a thread costs them more.
INLINE_CHARS = 2_000
_MOST_SECONDS = 0.005


# What a turn costs beside its text: a turn without any costs as much as this many characters.
_TURN_CHARS = 64


def size_of(messages: Sequence[Message]) -> int:
    """Characters that judging a conversation is worth: many empty turns are no small one."""
    return sum(len(message.content) for message in messages) + _TURN_CHARS * (len(messages) - 1)


async def judged(chars: int, work: Callable[[], T]) -> T:
    """Return what `work` says about texts of so many characters."""
    if chars <= INLINE_CHARS:
        return work()
    return await asyncio.to_thread(work)


class Pace:
    """Lets others have the loop after each few milliseconds of a batch."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def breathe(self) -> None:
        """Give the loop up if this batch has had it for long enough."""
        if time.perf_counter() - self._since > _MOST_SECONDS:
            await asyncio.sleep(0)
            self._since = time.perf_counter()
