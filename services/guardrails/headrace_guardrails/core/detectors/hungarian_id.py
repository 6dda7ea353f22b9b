"""Hungarian personal numbers: tax identification, social security (TAJ), personal number.

python-stdnum knows only the companies' VAT number (anum); that names a person when it is a sole
trader's, so it is taken too. The other three are checked here by their published check digits.
"""

import re
from collections.abc import Callable, Iterator

from stdnum.hu import anum

from headrace_guardrails.core.verdict import Finding

_TAX_ID = re.compile(r"(?<![\w-])8\d{9}(?![\w-])")
_TAJ = re.compile(r"(?<![\w-])\d{3}[ -]\d{3}[ -]\d{3}(?![\w-]|[ -]\d)")
_TAJ_BARE = re.compile(r"(?i:\btaj(?:[ -]?sz[aá]m\w*)?)\W{1,3}(\d{9})(?!\w)")
_PERSONAL = re.compile(r"(?<![\w-])[1-8][ -]?\d{6}[ -]?\d{4}(?![\w-])")
_VAT = re.compile(r"(?<![\w-])\d{8}-[1-5]-\d{2}(?![\w-])")


def find(text: str) -> Iterator[Finding]:
    """Numbers of these kinds whose check digit is right."""
    for label, pattern, valid in _KINDS:
        for match in pattern.finditer(text):
            group = match.lastindex or 0
            if valid(_digits(match.group(group))):
                yield Finding(label, match.start(group), match.end(group))


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())


def _tax_id_valid(number: str) -> bool:
    """Act XX of 1996: the sum of digit times place, modulo 11, is the tenth digit."""
    return sum(int(d) * place for place, d in enumerate(number[:9], 1)) % 11 == int(number[9])


def _taj_valid(number: str) -> bool:
    """Act XX of 1996: weights 3 and 7 in turn, modulo 10."""
    return sum(int(d) * (3, 7)[i % 2] for i, d in enumerate(number[:8])) % 10 == int(number[8])


def _personal_valid(number: str) -> bool:
    """Act XX of 1996: places 1 to 10 up to 1996, 10 to 1 after; modulo 11; date plausible."""
    month, day = int(number[3:5]), int(number[5:7])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return False
    digits = [int(d) for d in number]
    old = sum(d * place for place, d in enumerate(digits[:10], 1)) % 11
    new = sum(d * place for place, d in zip(range(10, 0, -1), digits[:10], strict=True)) % 11
    return digits[10] == (old if number[0] in "12" and int(number[1:3]) < 97 else new)


def _vat_valid(number: str) -> bool:
    return bool(anum.is_valid(number[:8]))


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("hu_tax_id", _TAX_ID, _tax_id_valid),
    ("hu_taj", _TAJ, _taj_valid),
    ("hu_taj", _TAJ_BARE, _taj_valid),
    ("hu_personal_id", _PERSONAL, _personal_valid),
    ("hu_vat", _VAT, _vat_valid),
)
