"""Compatibility of the present contracts with a released baseline, by rules that fail closed."""

from headrace_events.compat.change import Change, Severity
from headrace_events.compat.contracts import Contracts, present
from headrace_events.compat.verdict import Acknowledged, Verdict, compare, judge

__all__ = [
    "Acknowledged",
    "Change",
    "Contracts",
    "Severity",
    "Verdict",
    "compare",
    "judge",
    "present",
]
