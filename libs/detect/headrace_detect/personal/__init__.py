"""Detectors of personal data, one kind a file.

A match never holds more than one line, and apart from an e-mail address it is made of words that
hold a digit, are signs only, or are up to four capital letters: guardrails' hold-back window of
streamed answers relies on that (a property test there holds it).
"""

from headrace_detect.personal import (
    card,
    email,
    hu_personal_id,
    hu_taj,
    hu_tax_id,
    hu_vat,
    iban,
    phone,
)
from headrace_detect.search import Detector

PERSONAL: tuple[Detector, ...] = (
    email.find,
    iban.find,
    card.find,
    hu_tax_id.find,
    hu_taj.find,
    hu_personal_id.find,
    hu_vat.find,
    phone.find,
)
"""All of them, in the order in which an overlap is decided when two begin at the same place."""
