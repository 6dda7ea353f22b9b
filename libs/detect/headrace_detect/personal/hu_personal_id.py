"""The personal identification number of Hungary (személyi szám)."""

from collections.abc import Iterator

from headrace_detect.finding import Finding
from headrace_detect.search import Context
from headrace_detect.text.bounds import closes, opens
from headrace_detect.text.plain import PlainText

# Sex and century, date of birth, serial number with the check digit.
_GROUPS = {11: ((11,),), 1: ((1, 6, 4), (1, 10)), 7: ((7, 4),)}  # by the first one's size


def find(text: PlainText, context: Context) -> Iterator[Finding]:
    """Yield eleven digits with a plausible date and a right check digit."""
    for row in text.numbers:
        context.budget.check()
        for first, size in enumerate(row.sizes):
            for sizes in _GROUPS.get(size, ()):
                if not row.shaped(first, sizes, " -"):
                    continue
                start, end = row.starts[first], row.ends[first + len(sizes) - 1]
                if (
                    _is_valid(row.digits(first, len(sizes)))
                    and opens(text, start)
                    and closes(text, end)
                ):
                    yield Finding("hu_personal_id", start, end)


def _is_valid(number: str) -> bool:
    """Act XX of 1996: places 1 to 10 up to 1996, 10 to 1 after; modulo 11; date plausible."""
    month, day = int(number[3:5]), int(number[5:7])
    if number[0] not in "12345678" or not (1 <= month <= 12 and 1 <= day <= 31):
        return False
    digits = [int(d) for d in number]
    old = sum(d * place for place, d in enumerate(digits[:10], 1)) % 11
    new = sum(d * place for place, d in zip(range(10, 0, -1), digits[:10], strict=True)) % 11
    return digits[10] == (old if number[0] in "12" and int(number[1:3]) < 97 else new)
