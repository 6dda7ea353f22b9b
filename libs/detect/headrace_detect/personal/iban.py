"""Bank account numbers (IBAN)."""

from collections.abc import Iterator
from functools import lru_cache
from string import ascii_uppercase

import re2
from stdnum import iban, numdb

from headrace_detect.finding import Finding
from headrace_detect.search import Context
from headrace_detect.text.bounds import ending_at, is_word
from headrace_detect.text.plain import PlainText

_BEGINNING = re2.compile(r"[A-Za-z]{2} ?[0-9]{2}")
_GROUP = 4  # letters at most in a group without a digit
_LONGEST_GAP = 2
# A letter is worth two digits (A is 10); what stands between groups is worth nothing.
_VALUES = str.maketrans(
    {letter: str(value) for value, letter in enumerate(ascii_uppercase, 10)} | {" ": "", "-": ""}
)
_COUNTRY_AND_CHECK = 6  # digits that the first four characters are worth


def find(text: PlainText, context: Context) -> Iterator[Finding]:
    """Yield IBANs with valid country, length and check digits, in groups or in one piece."""
    taken = 0
    for match in _BEGINNING.finditer(text.text):
        start = match.start()
        if start < taken or (start and is_word(text.text[start - 1])):
            continue
        length = _length(text.text[start : start + 2].upper())
        end = length and _end(text.text, start, length)
        if not end:
            continue
        context.budget.check()
        # ISO 13616: 02 to 98; the library takes what is the same modulo 97 too. Otherwise
        # check digits, length and structure decide; checks of single countries are left out.
        written = text.text[start:end]
        if (
            match[0][-2:] not in ("00", "01", "99")
            and _has_check_digits(written)
            and _grouped_well(written)
            and iban.is_valid(written, check_country=False)
        ):
            yield Finding("iban", start, end)
            taken = end


@lru_cache(maxsize=1024)
def _length(country: str) -> int:
    """Characters of an IBAN of this country; 0 if there is no such country."""
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")  # 3!n4!n1!n15!n1!n
    if not structure:
        return 0
    sizes = "".join(char if char.isdigit() else " " for char in structure).split()
    return len("HU42") + sum(map(int, sizes))


def _end(text: str, start: int, length: int) -> int:
    """Where `length` letters and digits end, with short gaps between; 0 if they are not there."""
    left = length
    gap = 0
    at = start
    while left:
        char = text[at : at + 1]
        if char.isascii() and char.isalnum():
            left -= 1
            gap = 0
        elif char and char in " -" and gap < _LONGEST_GAP:
            gap += 1
        else:
            return 0
        at += 1
    after = text[at : at + 1]
    joined = after == "-" and is_word(text[at + 1 : at + 2]) and not ending_at(text, at)
    return 0 if is_word(after) or joined else at


def _has_check_digits(written: str) -> bool:
    """ISO 7064 modulo 97: nine of ten candidates end here, at a tenth of the library's cost."""
    digits = written.upper().translate(_VALUES)
    return int(digits[_COUNTRY_AND_CHECK:] + digits[:_COUNTRY_AND_CHECK]) % 97 == 1


def _grouped_well(written: str) -> bool:
    """A group without a digit is short, and in capitals: small letters are a word."""
    return all(
        any(map(str.isdigit, group)) or (len(group) <= _GROUP and group.isupper())
        for group in written.replace("-", " ").split()
    )
