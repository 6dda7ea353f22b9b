"""Personal data: e-mail, phone, IBAN, Hungarian identification numbers, payment cards."""

import re

from headrace_guardrails.core.detectors import card, email, hungarian_id, iban, phone
from headrace_guardrails.core.policy import Policy
from headrace_guardrails.core.verdict import Finding, Verdict

# In the order in which an overlap is decided when two begin at the same place.
_DETECTORS = (email.find, iban.find, card.find, hungarian_id.find, phone.find)
_POSSIBLE = re.compile(r"[@\d]")  # every kind of it has one of these


def check(text: str, policy: Policy) -> Verdict:
    """Redact or block, as the policy says, when there is personal data."""
    found = find(text)
    if not found:
        return Verdict("pii")
    labels = tuple(sorted({finding.label for finding in found}))
    return Verdict("pii", policy.pii, labels, 1.0, found)


def find(text: str) -> tuple[Finding, ...]:
    """Pieces of personal data from left to right, without overlaps: the earlier one counts."""
    if not _POSSIBLE.search(text):
        return ()
    candidates = [finding for detector in _DETECTORS for finding in detector(text)]
    candidates.sort(key=lambda finding: finding.start)  # stable: keeps the detectors' order
    kept: list[Finding] = []
    for finding in candidates:
        if not kept or finding.start >= kept[-1].end:
            kept.append(finding)
    return tuple(kept)
