"""Patterns over users' text: RE2's, whose time is linear whatever the text."""

from collections.abc import Iterator
from typing import Any

import re2

# Each pattern keeps the states that it met, for the next text. Hostile texts meet many: this
# bounds what all patterns together may hold (a pattern that needs more falls back to a slower
# engine, linear too).
_MOST_BYTES = 1 << 20

Pattern = Any  # re2 ships no types


def compiled(pattern: str) -> Pattern:
    """A pattern over UTF-8 text; raises `re2.error` for what RE2 has not, as lookarounds."""
    options = re2.Options()
    options.max_mem = _MOST_BYTES
    options.log_errors = False  # it would write to stderr, past our logs
    return re2.compile(pattern, options)


def encoded(text: str) -> bytes:
    """A text as patterns read it; half an emoji, which has no UTF-8, becomes a question mark."""
    return text.encode(errors="replace")


def spans(pattern: Pattern, text: str) -> Iterator[tuple[int, int]]:
    """The places of all matches, in characters."""
    try:
        matches = pattern.finditer(text)
        for match in matches:
            yield match.span()
    except UnicodeEncodeError:
        yield from spans(pattern, encoded(text).decode())
