"""Bank account numbers (IBAN)."""

import re
from collections.abc import Iterator

from stdnum import iban

from headrace_guardrails.core.verdict import Finding

_GROUPED = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2} ?\d{2}(?:[ -]?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_IN_ONE_PIECE = re.compile(r"(?<![A-Za-z0-9])[a-z]{2}\d{2}[a-z0-9]{11,30}(?![A-Za-z0-9])")
_LAST_GROUP = re.compile(r"[ -][A-Z0-9]+$")
_GROUP = 4  # letters at most in a group without a digit


def find(text: str) -> Iterator[Finding]:
    """IBANs with valid country, length and check digits, in groups or in one piece."""
    for match in _GROUPED.finditer(text):
        length = _valid_length(match.group())
        if length:
            yield Finding("iban", match.start(), match.start() + length)
    for match in _IN_ONE_PIECE.finditer(text):
        if iban.is_valid(match.group(), check_country=False):
            yield Finding("iban", match.start(), match.end())


def _valid_length(candidate: str) -> int:
    """Length of the valid number at the front (a country has one length); 0 if there is none."""
    while True:
        # Check digits, length and structure decide; checks of single countries are left out.
        if iban.is_valid(candidate, check_country=False) and all(
            len(group) <= _GROUP or any(map(str.isdigit, group)) for group in candidate.split(" ")
        ):
            return len(candidate)
        shorter = _LAST_GROUP.sub("", candidate)
        if shorter == candidate:
            return 0
        candidate = shorter
