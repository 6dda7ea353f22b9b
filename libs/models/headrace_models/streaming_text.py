"""Tokens of one answer -> text, piece by piece, never half a character or half a stop text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_INCOMPLETE = "\ufffd"  # what the tokenizer writes for the bytes of an unfinished character


class TextStream:
    """Collects tokens and gives out the text that can no longer change."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = [text for text in stop if text]
        self._ids: list[int] = []
        self._start = 0  # ids before it are decoded for good
        self._settled = ""
        self._sent = 0
        self.stopped = False

    @property
    def tokens(self) -> int:
        """How many tokens came in."""
        return len(self._ids)

    def push(self, token: int) -> str:
        """Take a token, return the text that is sure now (maybe none)."""
        self._ids.append(token)
        text = self._text()
        if (cut := self._first_stop(text)) is not None:
            self.stopped = True
            return self._send(text[:cut])
        if text.endswith(_INCOMPLETE):
            return ""
        self._settle(text)
        return self._send(text[: len(text) - self._held_back(text)])

    def finish(self) -> str:
        """The text still held back, when no more tokens come."""
        return self._send(self._text())

    def _text(self) -> str:
        tail = self._ids[self._start :]
        return self._settled + str(self._tokenizer.decode(tail, skip_special_tokens=True))

    def _settle(self, text: str) -> None:
        # Decoding all tokens again at each one would be quadratic. A cut is safe where the two
        # parts decode to the same text as the whole: a decoder may treat a first token otherwise.
        window = 16
        if len(self._ids) - self._start < 2 * window:
            return
        middle = len(self._ids) - window
        head = str(
            self._tokenizer.decode(self._ids[self._start : middle], skip_special_tokens=True)
        )
        tail = str(self._tokenizer.decode(self._ids[middle:], skip_special_tokens=True))
        if self._settled + head + tail == text:
            self._settled, self._start = self._settled + head, middle

    def _send(self, text: str) -> str:
        new, self._sent = text[self._sent :], max(self._sent, len(text))
        return new

    def _first_stop(self, text: str) -> int | None:
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        return min(found, default=None)

    def _held_back(self, text: str) -> int:
        """Length of the longest end of `text` that may be the beginning of a stop text."""
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop):
                return length
        return 0
