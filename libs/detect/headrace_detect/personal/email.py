"""E-mail addresses, international ones too, and with a Hungarian ending."""

from collections.abc import Iterator

import re2

from headrace_detect.finding import Finding
from headrace_detect.search import Context
from headrace_detect.text.bounds import is_word
from headrace_detect.text.plain import PlainText

# Lengths as RFC 5321 and 1035 bound them, so that the time for each at sign is bounded too.
_LONGEST_LOCAL = 64
_LONGEST_DOMAIN = 255
_LONGEST_LABEL = 63
_LONGEST_TLD = 24
_LOCAL_SIGNS = "._%+'-"
_PUNYCODE = re2.compile(r"(?i)xn--[a-z0-9-]{1,58}[a-z0-9]$")


def find(text: PlainText, context: Context) -> Iterator[Finding]:
    """Yield addresses: what stands around each at sign, if it is shaped like one."""
    at = text.text.find("@")
    looked_at = 0
    while at >= 0:
        looked_at += 1
        if looked_at % 64 == 0:
            context.budget.check()
        start = _local_start(text.text, at)
        end = _domain_end(text.text, at + 1) if start is not None else None
        if start is not None and end is not None:
            yield Finding("email", start, end)
        at = text.text.find("@", end or at + 1)


def _local_start(text: str, at: int) -> int | None:
    """Where the name before the at sign begins; None if there is none.

    Of a run longer than a name can be (a form's dotted line before it) the last piece is taken.
    """
    start = at
    lowest = max(0, at - _LONGEST_LOCAL)
    while start > lowest and (is_word(text[start - 1]) or text[start - 1] in _LOCAL_SIGNS):
        if text[start - 1] == "." == text[start : start + 1]:
            break  # no name has two dots in a row
        start -= 1
    while start < at and text[start] in "'.-%+":  # a quotation mark, a bullet
        start += 1
    return start if start < at else None


def _domain_end(text: str, start: int) -> int | None:
    """Where the domain ends; None if it is none.

    What follows a whole domain is not part of it, and makes it none the less an address: an
    ending (-ra, -RA), three dots, the number of the next sentence.
    """
    end = start
    found: int | None = None
    labels = 0
    last = min(len(text), start + _LONGEST_DOMAIN)
    while end < last:
        label = end
        while end < last and (is_word(text[end]) or text[end] == "-"):
            end += 1
        if labels:
            found = _top_end(text, label, end) or found
        if not _is_label(text[label:end]) or text[end : end + 1] != ".":
            break
        labels += 1
        end += 1
    return found


def _top_end(text: str, start: int, end: int) -> int | None:
    """Where the letters of a top-level domain end that begins here; None if there is none."""
    if _PUNYCODE.match(text[start:end]):
        return end
    at = start
    while at < end and text[at].isalpha():
        at += 1
    if not 2 <= at - start <= _LONGEST_TLD:
        return None
    return at if at == end or text[at] in "-_" else None


def _is_label(label: str) -> bool:
    return 0 < len(label) <= _LONGEST_LABEL and label[0].isalnum() and label[-1].isalnum()
