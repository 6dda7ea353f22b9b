"""Findings -> a text without them."""

from collections.abc import Iterable

from headrace_guardrails.core.verdict import Finding


def placeholder(label: str) -> str:
    """What stands in the place of a finding."""
    return f"[{label}]"


def redact(text: str, findings: Iterable[Finding]) -> str:
    """Replace each finding (sorted, not overlapping) by its placeholder."""
    parts: list[str] = []
    at = 0
    for finding in findings:
        parts += [text[at : finding.start], placeholder(finding.label)]
        at = finding.end
    parts.append(text[at:])
    return "".join(parts)
