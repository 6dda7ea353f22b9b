"""Payment card numbers."""

import re
from collections.abc import Iterator

from stdnum import luhn

from headrace_guardrails.core.verdict import Finding

# 13 to 19 digits, first digit of the networks in use; separators at most one between digits.
_CARD = re.compile(r"(?<![\w.])[2-6](?:[ -]?\d){12,18}(?![\w]|\.\d)")
_MOST_DIGITS = 19


def find(text: str) -> Iterator[Finding]:
    """Card numbers with a valid Luhn check digit."""
    for match in _CARD.finditer(text):
        digits = match.group().replace(" ", "").replace("-", "")
        if len(digits) <= _MOST_DIGITS and len(set(digits)) > 1 and luhn.is_valid(digits):
            yield Finding("card", match.start(), match.end())
