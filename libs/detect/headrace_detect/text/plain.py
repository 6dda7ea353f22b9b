"""A text in plain writing, with the way back to the places of the original.

One character stands for one: no-break and other spaces become a space, the hyphens and the en dash
a `-`, digits and letters in full width (or of another script's digits) the plain ones. What cannot
be seen (soft hyphen, zero-width characters, accents written as a character of their own) is left
out. So a detector knows one way of writing only.
"""

import unicodedata
from functools import cached_property

import re2

from headrace_detect.finding import Finding
from headrace_detect.text.numbers import Row, rows

_LEFT_OUT = "\x7f"
_HYPHENS = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
# Hostile text may hold each of Unicode's characters; what is remembered of them is bounded.
_MOST_REMEMBERED = 8192
# An at sign or a digit, in any script and width.
_POSSIBLE = re2.compile(r"[@\x{FF20}\x{FE6B}\p{Nd}]")


class _Table(dict[int, str]):
    """What `str.translate` asks: worked out once for each character."""

    def __missing__(self, code: int) -> str:
        plain = _plain(chr(code))
        if len(self) < _MOST_REMEMBERED:
            self[code] = plain
        return plain


def _plain(char: str) -> str:
    category = unicodedata.category(char)
    if char in _HYPHENS:
        return "-"
    match category:
        case "Mn" | "Me" | "Cf":
            return _LEFT_OUT
        case "Zs":
            return " "
        case "Nd":
            return str(unicodedata.decimal(char))
        case "Cs":  # half a pair cannot be encoded, and nothing that is looked for holds one
            return "\ufffd"
        case "No":  # superscripts and numbers in circles are no digits of a number
            return char
    compatible = unicodedata.normalize("NFKC", char)
    return compatible if len(compatible) == 1 else char


_TABLE = _Table()


def may_hold_numbers_or_addresses(original: str) -> bool:
    """Whether there is a digit or an at sign at all; most texts have none."""
    # As bytes, for half a pair cannot be encoded strictly; it is found nowhere.
    return _POSSIBLE.search(original.encode(errors="surrogatepass")) is not None


class PlainText:
    """A text as detectors read it (`text`), and its places in the original."""

    def __init__(self, original: str) -> None:
        self._original = original
        self._places: list[int] | None = None
        if original.isascii():
            self.text = original
            return
        text = original.translate(_TABLE)
        if _LEFT_OUT in text:
            self._places = [i for i, char in enumerate(text) if char != _LEFT_OUT]
            text = text.replace(_LEFT_OUT, "")
        self.text = text

    @cached_property
    def numbers(self) -> list[Row]:
        """The rows of digits that are long enough to name somebody."""
        return list(rows(self.text))

    def char_as_written(self, index: int) -> str:
        """The original's character behind `text[index]`; empty before the beginning."""
        if index < 0:
            return ""
        return self._original[index if self._places is None else self._places[index]]

    def original(self, finding: Finding) -> Finding:
        """The finding with its places in the original."""
        if self._places is None:
            return finding
        return Finding(finding.kind, self._places[finding.start], self._places[finding.end - 1] + 1)
