"""What a detector says, and a text without it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One piece of the text, [start, end) in characters of the text as it was given."""

    kind: str
    start: int
    end: int


def replace(text: str, findings: Iterable[Finding], placeholder: Callable[[str], str]) -> str:
    """Return the text with each finding (sorted, not overlapping) replaced by its placeholder."""
    parts: list[str] = []
    at = 0
    for finding in findings:
        parts += [text[at : finding.start], placeholder(finding.kind)]
        at = finding.end
    parts.append(text[at:])
    return "".join(parts)
