"""E-mail addresses."""

import re
from collections.abc import Iterator

from headrace_guardrails.core.verdict import Finding

# Lengths as RFC 5321 bounds them, so that a match (and the time to find it) is bounded.
_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.%+'-]{1,64}@(?:[\w-]{1,63}\.){1,4}[^\W\d_]{2,24}(?![\w-]|\.\w)", re.UNICODE
)


def find(text: str) -> Iterator[Finding]:
    """E-mail addresses, international ones too."""
    if "@" in text:
        for match in _EMAIL.finditer(text):
            yield Finding("email", match.start(), match.end())
