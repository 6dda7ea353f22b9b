"""Payment card numbers."""

from collections.abc import Iterator

from stdnum import luhn

from headrace_detect.finding import Finding
from headrace_detect.search import Context
from headrace_detect.text.bounds import closes, opens
from headrace_detect.text.numbers import Row
from headrace_detect.text.plain import PlainText

# As they are printed: four and four, American Express 4-6-5, Diners 4-6-4; or in one piece.
_GROUPS = ((4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 4, 4, 3), (4, 4, 4, 1), (4, 6, 5), (4, 6, 4), (8, 8))
_FEWEST, _MOST = 12, 19


def find(text: PlainText, context: Context) -> Iterator[Finding]:
    """Yield card numbers with a network's first digits and length and a valid Luhn digit."""
    for row in text.numbers:
        first = 0
        while first < len(row):
            size = row.sizes[first]
            possible = size in (4, 8) or _FEWEST <= size <= _MOST
            count = _groups_of_card(row, first, text, context) if possible else 0
            if count:
                yield Finding("card", row.starts[first], row.ends[first + count - 1])
            first += count or 1


def _groups_of_card(row: Row, first: int, text: PlainText, context: Context) -> int:
    """How many groups from `first` are a card number; 0 if they are none."""
    size = row.size(first)
    if _FEWEST <= size <= _MOST:
        return int(_is_card(row, first, 1, text, context))
    if row.size(first - 1) == size and row.gap(first) in " -":
        return 0
    for sizes in _GROUPS:
        if row.shaped(first, sizes, " -") and _is_card(row, first, len(sizes), text, context):
            return len(sizes)
    return 0


def _is_card(row: Row, first: int, count: int, text: PlainText, context: Context) -> bool:
    context.budget.check()
    digits = row.digits(first, count)
    start, end = row.starts[first], row.ends[first + count - 1]
    return (
        _has_issuer(digits)
        and len(set(digits)) > 1
        and text.text[start - 1 : start] not in ("/", "+")
        and text.text[end : end + 1] != "/"
        and opens(text, start)
        and closes(text, end)
        and bool(luhn.is_valid(digits))
    )


def _has_issuer(digits: str) -> bool:
    """Say whether length and first digits are those of a card network (ISO/IEC 7812)."""
    head, length = int(digits[:4]), len(digits)
    return (
        (digits[0] == "4" and length in (13, 16, 19))  # Visa
        or (length == 16 and (5100 <= head <= 5599 or 2221 <= head <= 2720))  # Mastercard
        or (length == 15 and head // 100 in (34, 37))  # American Express
        or (length in (14, 16) and head // 100 in (36, 38, 39, 30))  # Diners Club
        or (length in (16, 19) and (head == 6011 or head // 100 in (64, 65)))  # Discover
        or (length == 16 and head // 100 == 35)  # JCB
        or (length == 15 and head in (1800, 2131))  # JCB, older
        or (16 <= length <= 19 and head // 100 == 62)  # UnionPay
        or (12 <= length <= 19 and head // 100 in (50, 56, 57, 58, 67))  # Maestro
        or (12 <= length <= 19 and head in (6304, 6390))  # Maestro
    )
