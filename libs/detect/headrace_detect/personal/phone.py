"""Phone numbers: groups of digits as they are written, decided by Google's phonenumbers."""

from collections.abc import Iterator
from functools import lru_cache

import phonenumbers

from headrace_detect.finding import Finding
from headrace_detect.personal.phone_prefix import international_start, trunk_start
from headrace_detect.search import Context
from headrace_detect.text.bounds import closes, is_amount, is_word
from headrace_detect.text.numbers import Row
from headrace_detect.text.plain import PlainText

_FEWEST, _MOST = 7, 15  # E.164, with the country code
_HUNGARIAN = (10, 11)  # 06, then eight digits, or nine of a mobile phone
_BRITISH = (10, 11)
_MOBILE = ("20", "30", "31", "50", "70")
_LONGEST_AREA = 2
# Groups after the area code, and the signs that may set it apart of a mobile phone's.
_IN_SHORT = (((3, 4), "/-"), ((7,), "/"), ((3, 2, 2), "/-"), ((3, 3), "/"))
_LAST_BRITISH_GROUP = (3, 4, 6)
# Words that say of a bare row of digits that it is nobody's phone.
_OTHER_NUMBER = (
    "version", "release", "build", "rfc", "isbn", "issn", "iso", "port", "pid", "code", "order",
    "invoice", "account", "reference", "ref", "ticket", "verzió", "rendelés", "számla", "számú",
    "azonosító", "kód", "hash", "crc", "seed", "timestamp", "epoch",
)  # fmt: skip
_LONGEST_WORD = 12
_LONGEST_COUNTRY = 3
_BEFORE_AREA = (" ", ".", "-", "(", "-(", ".(")
_AFTER_AREA = (" ", ".", "-", ")", ").", ")-")


def find(text: PlainText, context: Context) -> Iterator[Finding]:
    """Yield numbers that the numbering plan of their country knows.

    With a country code (+36 30 123 4567, 0036...); dialled at home in Hungary (06-30-123-4567,
    06/30/..., 06301234567, and 30/123-4567 in short) or Britain (020 7946 0958); North American
    when written like one.
    """
    ended = -1
    for row in text.numbers:
        first = free = 0  # `free`: the first group behind the last number that was found
        while first < len(row):
            context.budget.check()
            found = _at(row, first, free, text, context, ended)
            if found:
                start, count = found
                ended = row.ends[first + count - 1]
                yield Finding("phone", start, ended)
                first = free = first + count
            else:
                first += 1


def _at(
    row: Row, first: int, free: int, text: PlainText, context: Context, ended: int
) -> tuple[int, int] | None:
    """The place where the number at group `first` begins, and how many groups it has."""
    at = row.starts[first]
    if text.text[at] == "0":
        start = trunk_start(text.text, at, ended)
        count = 0 if start is None else _dialled(row, first, text, context)
    else:
        start = international_start(text.text, at)
        if start is None:
            if found := _in_short(row, first, free, text, ended):
                return found
            return _north_american(row, first, free, text)
        count = _international(row, first, "", context)
    return (start, count) if start is not None and count else None


def _in_short(
    row: Row, first: int, free: int, text: PlainText, ended: int
) -> tuple[int, int] | None:
    """30/123-4567, (30) 123 4567, 52/123-456: in Hungary without the 06, the area code set apart.

    Only where nothing but other phone numbers stands beside it: so few digits may be many things.
    """
    if first != free or row.size(first) > _LONGEST_AREA or first + 1 == len(row):
        return None
    start = trunk_start(text.text, row.starts[first], ended)
    if start is None:
        return None
    sign = row.gap(first + 1)
    if text.text[start] == "(" and sign == ")":
        sign = "/"
    for sizes, signs in _IN_SHORT:
        count = 1 + len(sizes)
        if (
            sign in (signs if row.group(first) in _MOBILE else "/")
            and [row.size(number) for number in range(first + 1, first + count)] == list(sizes)
            and all(row.gap(number) in " -/" for number in range(first + 2, first + count))
            and (first + count == len(row) or row.gap(first + count) == "/")
            and _is_valid(row.digits(first, count), "HU")
            and closes(text, row.ends[first + count - 1])
            and not is_amount(text, start, row.ends[first + count - 1])
        ):
            return start, count
    return None


def _lengths(row: Row, first: int, fewest: int, most: int) -> list[tuple[int, int]]:
    """(groups, digits) of the numbers that may begin here, the longest first."""
    found: list[tuple[int, int]] = []
    digits = 0
    for count, size in enumerate(row.sizes[first : first + most], 1):
        digits += size
        if digits > most:
            break
        if digits >= fewest:
            found.append((count, digits))
    return found[::-1]


def _international(row: Row, first: int, prefix: str, context: Context) -> int:
    """Groups of a number with its country; behind two zeros (`prefix`) it must be a valid one."""
    fewest, most = _FEWEST + len(prefix), _MOST + len(prefix)
    lengths = _lengths(row, first, fewest, most)
    written = row.digits(first, lengths[0][0])[len(prefix) :] if lengths else ""
    if written[:1] in ("", "0"):
        return 0
    for count, digits in lengths:
        context.budget.check()
        number = "+" + written[: digits - len(prefix)]
        if _is_valid(number, None) if prefix else _is_possible(number):
            return count
    return 0


def _dialled(row: Row, first: int, text: PlainText, context: Context) -> int:
    """Groups of a number behind 00, 06 or 0."""
    head = row.digits(first, min(3, len(row) - first))[:3]
    if head[:2] == "00":
        return _international(row, first, "00", context) if head != "000" else 0
    if _is_date(row, first):
        return 0
    count = _hungarian(row, first, context) if head[:2] == "06" else 0
    return count or _british(row, first, text, context)


def _hungarian(row: Row, first: int, context: Context) -> int:
    for count, digits in _lengths(row, first, *_HUNGARIAN):
        context.budget.check()
        if _grouped_as_hungarian(row, first, count, digits) and _is_valid(
            row.digits(first, count), "HU"
        ):
            return count
    return 0


def _british(row: Row, first: int, text: PlainText, context: Context) -> int:
    if row.sizes[first] == 1:
        return 0
    for count, _ in _lengths(row, first, *_BRITISH):
        context.budget.check()
        if _grouped_as_british(row, first, count, text) and _is_valid(
            row.digits(first, count), "GB"
        ):
            return count
    return 0


def _grouped_as_hungarian(row: Row, first: int, count: int, digits: int) -> bool:
    """Whether a group ends behind the area code, or nothing else stands in the row after it.

    06 301 234 567 8901 is part of a longer number; 06 301 234 567 alone is a phone's.
    """
    area = 4 if digits == max(_HUNGARIAN) or row.digits(first, count)[2] != "1" else 3
    at = 0
    for number in range(first, first + count):
        at += row.size(number)
        if at == area:
            return True
    return first + count == len(row) or (count == 1 and row.gap(first + 1) != "-")


def _grouped_as_british(row: Row, first: int, count: int, text: PlainText) -> bool:
    if count == 1:
        return not _is_of_something(text.text, row.starts[first]) and _ends(row, first, 1, text)
    return (
        2 <= count <= 5
        and row.size(first + count - 1) in _LAST_BRITISH_GROUP
        and first + count == len(row)
        and not all(row.gap(number) == "." for number in range(first + 1, first + count))
        and _ends(row, first, count, text)
    )


def _north_american(row: Row, first: int, free: int, text: PlainText) -> tuple[int, int] | None:
    """(212) 736-5000, 1-212-736-5000: ten bare digits are most often something else."""
    if row.sizes[first] not in (1, 3):
        return None
    lead = int(row.group(first) == "1" and row.gap(first + 1) in _BEFORE_AREA)
    area = first + lead
    if row.sizes[area : area + 3] != [3, 3, 4]:
        return None
    if row.gap(area + 1) not in _AFTER_AREA or row.gap(area + 2) not in (" ", ".", "-"):
        return None
    if first - free > 1 or (first > free and row.size(free) > _LONGEST_COUNTRY):
        return None  # part of a longer number
    start = trunk_start(text.text, row.starts[first])
    if start is None or row.group(area)[0] in "01" or not _ends(row, area, 3, text):
        return None
    return start, lead + 3


def _ends(row: Row, first: int, count: int, text: PlainText) -> bool:
    """Whether the number is not the beginning of a longer sign: 1-2-3-4, 1.2.3, 12 %."""
    end = row.ends[first + count - 1]
    after = text.text[end : end + 1]
    if after and after in ".,:/-" and text.text[end + 1 : end + 2].isdigit():
        return False
    return not after or (after not in "%€$£" and not is_word(after)) or after == "x"


def _is_date(row: Row, first: int) -> bool:
    """06.30.2026 or 06/30/26 10..., with one sign between the groups."""
    sign = row.gap(first + 1)
    return (
        sign in ("-", ".", "/")
        and row.gap(first + 2) == sign
        and row.size(first) <= 2
        and row.size(first + 1) <= 2
        and (row.size(first + 2) == 2 or row.group(first + 2)[:2] in ("19", "20"))
        and row.size(first + 2) in (2, 4)
    )


def _is_of_something(text: str, start: int) -> bool:
    """Whether the word right before a number says that it is an order's, a version's, ..."""
    before = text[max(0, start - _LONGEST_WORD - 4) : start].rstrip(" .:#=").casefold()
    return before.endswith(_OTHER_NUMBER)


@lru_cache(maxsize=4096)
def _is_possible(number: str) -> bool:
    """With a country code nothing but a phone number is meant: its length is enough."""
    try:
        return bool(phonenumbers.is_possible_number(phonenumbers.parse(number, None)))
    except phonenumbers.NumberParseException:
        return False


@lru_cache(maxsize=4096)
def _is_valid(number: str, region: str | None) -> bool:
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(number, region)))
    except phonenumbers.NumberParseException:
        return False
