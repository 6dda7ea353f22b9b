"""The social security number of Hungary (TAJ)."""

from collections.abc import Iterator

from headrace_detect.finding import Finding
from headrace_detect.search import Context
from headrace_detect.text.bounds import closes, is_amount, opens
from headrace_detect.text.numbers import Row
from headrace_detect.text.plain import PlainText

_WORD = "taj"
# After `taj` may follow szám, -szám, száma, -kártya száma: not further away than this.
_FURTHEST = 28


def find(text: PlainText, context: Context) -> Iterator[Finding]:
    """Yield nine digits with a right check digit: three and three, or in one piece after `TAJ`."""
    for row in text.numbers:
        context.budget.check()
        for number, size in enumerate(row.sizes):
            if size == 9:
                count = int(_is_named(text.text, row.starts[number]))
            elif size == 3:
                count = 3 * _stands_alone(row, number, text)
            else:
                continue
            if count and _is_valid(row.digits(number, count)):
                start, end = row.starts[number], row.ends[number + count - 1]
                if opens(text, start) and closes(text, end):
                    yield Finding("hu_taj", start, end)


def _stands_alone(row: Row, first: int, text: PlainText) -> bool:
    """Three groups of three that are no part of a longer amount, and no amount of something.

    A group of another size after them is not of the same number: a year, a phone.
    """
    if not row.shaped(first, (3, 3, 3), " -"):
        return False
    if _is_named(text.text, row.starts[first]):
        return True
    if first and row.gap(first) in " -" and row.size(first - 1) <= 3:
        return False
    if row.size(first + 3) == 3 and row.gap(first + 3) in " -":
        return False
    return not is_amount(text, row.starts[first], row.ends[first + 2])


def _is_named(text: str, start: int) -> bool:
    """Whether the number is said to be a TAJ right before it."""
    before = text[max(0, start - _FURTHEST) : start].casefold()
    at = before.rfind(_WORD)
    if at < 0 or (at > 0 and before[at - 1].isalnum()):
        return False
    rest = before[at + len(_WORD) :]
    if any(map(str.isdigit, rest)) or "\n" in rest:
        return False
    return not rest[:1].isalpha() or rest.startswith(("szám", "szam", "k"))


def _is_valid(number: str) -> bool:
    """Act XX of 1996: weights 3 and 7 in turn, modulo 10."""
    if number == "000000000":
        return False
    return sum(int(d) * (3, 7)[i % 2] for i, d in enumerate(number[:8])) % 10 == int(number[8])
