"""Streamed answers: which checked text may go out with each part."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from headrace_events.inference import InferencePartCompleted, InferencePartGenerated
from headrace_guardrails.core.window import Released

# An answer whose end never came (its generation died) must not stay in memory for ever.
_FORGET_AFTER_SECONDS = 600.0


@dataclass(slots=True)
class Open:
    """An answer under way: its text so far, and what of it has gone out."""

    text: str
    next_part: int
    sent: int
    parts_sent: int
    seen_at: float


class OpenStreams:
    """The answers under way, by request id.

    State is in memory only. After a crash the parts of an answer whose beginning is lost are not
    given out: the outcome event carries the whole checked text and is what counts.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[str, Open] = OrderedDict()

    def grow(self, part: InferencePartGenerated) -> Open | None:
        """Take one part; return the answer so far, or None if the part does not belong to it."""
        state = self._open.get(part.request_id)
        if state is None:
            if part.index != 0:
                return None
            state = self._open[part.request_id] = Open("", 0, 0, 0, 0.0)
        if part.index != state.next_part:  # delivered again, or one before it is lost
            return None
        state.text += part.text
        state.next_part += 1
        state.seen_at = time.monotonic()
        self._open.move_to_end(part.request_id)
        self._forget_old()
        return state

    def close(self, request_id: str) -> None:
        """Forget an answer whose outcome is known."""
        self._open.pop(request_id, None)

    def _forget_old(self) -> None:
        oldest = time.monotonic() - _FORGET_AFTER_SECONDS
        while self._open and next(iter(self._open.values())).seen_at < oldest:
            self._open.popitem(last=False)


def give(request_id: str, state: Open, released: Released) -> InferencePartCompleted | None:
    """Return what may go out now and has not yet, numbered without gaps."""
    new = released.text[state.sent :]
    if not new:
        return None
    state.sent += len(new)
    state.parts_sent += 1
    return InferencePartCompleted(request_id=request_id, index=state.parts_sent - 1, text=new)
