"""Phone numbers: shapes found by a pattern, decided by Google's phonenumbers."""

import contextlib
import re
from collections.abc import Iterator

import phonenumbers

from headrace_guardrails.core.verdict import Finding

_GAP = r"[ \u00a0./()-]{0,3}"
_SHAPES: tuple[tuple[re.Pattern[str], str | None], ...] = (
    # International: +36 30 123 4567, 0036-1-2345678. The plus is no word character.
    (re.compile(rf"(?<![\w+])(?:\+|00){_GAP}[1-9](?:{_GAP}\d){{6,14}}(?!\d)"), None),
    # Hungarian, dialled at home: 06 30 123 4567, 06-1/234-5678.
    (re.compile(rf"(?<![\w+])\(?06\)?(?:{_GAP}\d){{8,9}}(?!\d)"), "HU"),
    # North American, only when written like one: ten bare digits are most often something else.
    (re.compile(r"(?<![\w+(])(?:1[ .-])?\(?[2-9]\d{2}\)?[ .-]{1,2}\d{3}[ .-]\d{4}(?!\d)"), "US"),
    (re.compile(r"(?<!\w)\([2-9]\d{2}\) ?\d{3}[ .-]\d{4}(?!\d)"), "US"),
)
_LAST_GROUP = re.compile(r"[ \u00a0./()-]+\d+$")
_DIGITS_NEEDED = 7


def find(text: str) -> Iterator[Finding]:
    """Numbers that are possible by the numbering plan of their country."""
    if sum(map(str.isdigit, text)) < _DIGITS_NEEDED:
        return
    for shape, region in _SHAPES:
        for match in shape.finditer(text):
            end = match.start() + _valid_length(match.group(), region)
            if end > match.start():
                yield Finding("phone", match.start(), end)


def _valid_length(candidate: str, region: str | None) -> int:
    """Length of the longest valid number at the front; a number may be followed by another."""
    # Written with its country or in its country's way, it is meant as a number: that it could be
    # one is enough. Two leading zeros say less.
    sure = candidate[0] == "+" or region == "US"
    decide = phonenumbers.is_possible_number if sure else phonenumbers.is_valid_number
    while candidate:
        number = "+" + candidate[2:] if region is None and candidate[0] == "0" else candidate
        # What cannot be parsed is no number; its first groups may still be one.
        with contextlib.suppress(phonenumbers.NumberParseException):
            if decide(phonenumbers.parse(number, region)):
                return len(candidate)
        shorter = _LAST_GROUP.sub("", candidate)
        if shorter == candidate:
            return 0
        candidate = shorter
    return 0
