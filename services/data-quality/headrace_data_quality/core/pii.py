"""Personal data in text: found by rules with check digits, replaced by typed placeholders."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headrace_data_quality.core.phones import find_phones

_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}(?![\w@])"
)
_IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?!\w)")
_SEPARATORS = re.compile(r"[ -]")
# A number standing in a longer one, in a version or an amount is no card.
_CARD = re.compile(r"(?<![\w.,/+-])\d(?:[ -]?\d){11,18}(?![\w/-]|[.,]\d)")
# 4-4-4-4(-3), American Express 4-6-5 and Diners 4-6-4; or no separators at all.
_CARD_GROUPS = ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1))


@dataclass(frozen=True, slots=True)
class Found:
    """A piece of personal data: its place and its kind."""

    start: int
    end: int
    kind: str


def redact(text: str) -> tuple[str, Counter[str]]:
    """Replace personal data by placeholders such as <EMAIL>; return the text and the counts."""
    found = find(text)
    for one in reversed(found):
        text = f"{text[: one.start]}<{one.kind.upper()}>{text[one.end :]}"
    return text, Counter(one.kind for one in found)


def find(text: str) -> list[Found]:
    """Return the personal data in a text, in its order, none overlapping another."""
    taken: list[Found] = []
    for finder in _FINDERS:
        for one in finder(text):
            if all(one.end <= other.start or one.start >= other.end for other in taken):
                taken.append(one)
    return sorted(taken, key=lambda one: one.start)


def _emails(text: str) -> Iterator[Found]:
    if "@" in text:
        for match in _EMAIL.finditer(text):
            yield Found(*match.span(), "email")


def _ibans(text: str) -> Iterator[Found]:
    for match in _IBAN.finditer(text):
        end = _iban_end(match[0])
        if end:
            yield Found(match.start(), match.start() + end, "iban")


def _iban_end(candidate: str) -> int | None:
    """Return where the IBAN ends: the pattern may have run on into the words after it."""
    from stdnum import iban

    while len(candidate) >= 15:
        if iban.is_valid(_SEPARATORS.sub("", candidate)):
            return len(candidate)
        cut = max(candidate.rfind(" "), candidate.rfind("-"))
        if cut <= 0:
            return None
        candidate = candidate[:cut]
    return None


def _cards(text: str) -> Iterator[Found]:
    for match in _CARD.finditer(text):
        if _is_card(match[0]):
            yield Found(*match.span(), "card")


def _is_card(written: str) -> bool:
    from stdnum import luhn

    digits = _SEPARATORS.sub("", written)
    groups = tuple(len(group) for group in _SEPARATORS.split(written))
    if len(groups) > 1 and groups not in _CARD_GROUPS:
        return False
    return _has_issuer(digits) and len(set(digits)) > 1 and bool(luhn.is_valid(digits))


def _has_issuer(digits: str) -> bool:
    """Say whether length and first digits are those of a card network (ISO/IEC 7812)."""
    head, length = int(digits[:4]), len(digits)
    return (
        (digits[0] == "4" and length in (13, 16, 19))  # Visa
        or (length == 16 and (5100 <= head <= 5599 or 2221 <= head <= 2720))  # Mastercard
        or (length == 15 and head // 100 in (34, 37))  # American Express
        or (length in (14, 16) and head // 100 in (36, 38, 39, 30))  # Diners Club
        or (length in (16, 19) and (head == 6011 or head // 100 in (64, 65)))  # Discover
        or (length == 16 and 3528 <= head <= 3589)  # JCB
        or (length == 15 and head in (1800, 2131))  # JCB, older
        or (16 <= length <= 19 and head // 100 == 62)  # UnionPay
        or (12 <= length <= 19 and head // 100 in (50, 56, 57, 58, 67))  # Maestro
    )


def _phones(text: str) -> Iterator[Found]:
    for start, end in find_phones(text):
        yield Found(start, end, "phone")


# The order is the precedence: an IBAN's digits are no card, a card's are no phone number.
_FINDERS: tuple[Callable[[str], Iterator[Found]], ...] = (_emails, _ibans, _cards, _phones)
