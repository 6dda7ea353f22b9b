"""E-mail addresses, international ones too, and with a Hungarian ending."""

from collections.abc import Iterator

from headrace_detect.finding import Finding
from headrace_detect.search import Context
from headrace_detect.text.bounds import ending_at, is_word
from headrace_detect.text.plain import PlainText

# Lengths as RFC 5321 and 1035 bound them, so that the time for each at sign is bounded too.
_LONGEST_LOCAL = 64
_LONGEST_DOMAIN = 255
_LONGEST_LABEL = 63
_LONGEST_TLD = 24
_LOCAL_SIGNS = "._%+'-"


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
    """Where the name before the at sign begins; None if there is none or it is too long."""
    start = at
    while start > 0 and (is_word(text[start - 1]) or text[start - 1] in _LOCAL_SIGNS):
        start -= 1
        if at - start > _LONGEST_LOCAL:
            return None
    while start < at and text[start] in "'.-%+":  # a quotation mark, a bullet
        start += 1
    return start if start < at else None


def _domain_end(text: str, start: int) -> int | None:
    """Where the domain ends; None if it is none. Cut before a Hungarian ending."""
    end = start
    last = min(len(text), start + _LONGEST_DOMAIN)
    while end < last and (is_word(text[end]) or text[end] in ".-"):
        end += 1
    if end < len(text) and is_word(text[end]):
        return None  # longer than a domain can be
    while end > start and text[end - 1] in ".-_":
        end -= 1
    *labels, top = text[start:end].split(".")
    if not labels or not all(map(_is_label, labels)):
        return None
    letters = top.split("-", 1)[0]
    if not (2 <= len(letters) <= _LONGEST_TLD and letters.isalpha()):
        return None
    short = end - len(top) + len(letters)
    return short if short == end or ending_at(text, short) else None


def _is_label(label: str) -> bool:
    return 0 < len(label) <= _LONGEST_LABEL and label[0].isalnum() and label[-1].isalnum()
