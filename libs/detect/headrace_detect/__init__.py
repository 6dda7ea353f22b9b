"""What is found in text: pure, without Kafka or models, in time linear in the text's length.

    findings = find(texts, PERSONAL)          # one tuple a text, offsets in the text as given
    clean = replace(texts[0], findings[0], lambda kind: f"<{kind.upper()}>")

A detector is one file with a `find(text, context)`; see `personal`.
"""

from headrace_detect.budget import UNLIMITED, Budget, OverBudget
from headrace_detect.finding import Finding
from headrace_detect.finding import replace as replace
from headrace_detect.search import Context, Detector, find

__all__ = [
    "UNLIMITED",
    "Budget",
    "Context",
    "Detector",
    "Finding",
    "OverBudget",
    "find",
    "replace",
]
