"""The rules that look at one record alone."""

from collections import Counter
from dataclasses import dataclass

from headrace_data_quality.core import language, pii
from headrace_data_quality.core.rows import Origin, RawRow, Reject
from headrace_data_quality.core.text import normalise
from headrace_detect import Budget, OverBudget
from headrace_events.workload import Data

# CPU seconds to look for personal data in one row; an ordinary one takes a thousandth of it.
_CLEAN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A record that passed, with its text normalised and redacted."""

    record_id: str
    batch_id: str
    prompt: str
    completion: str
    language: str
    origin: Origin
    redactions: Counter[str]
    source: str = ""
    file_row: int | None = None


def clean(row: RawRow, policy: Data, detect: language.Detect) -> Cleaned | Reject:
    """Normalise a record and keep or reject it."""
    prompt, completion = normalise(row.prompt), normalise(row.completion)
    reason = _length_problem(prompt, completion, policy.max_chars)
    if reason:
        return _reject(row, reason)
    verdict = language.judge(f"{prompt}\n{completion}", policy.language, detect)
    if verdict.foreign:
        return _reject(row, "language")
    redactions: Counter[str] = Counter()
    if policy.pii != "keep":
        try:
            with Budget(_CLEAN_SECONDS) as budget:
                prompt, in_prompt = pii.redact(prompt, budget)
                completion, in_completion = pii.redact(completion, budget)
        except OverBudget:
            # What was not read to its end may hold anybody's data: it is not learned from.
            return _reject(row, "over_budget")
        redactions = in_prompt + in_completion
        if redactions and policy.pii == "drop":
            return _reject(row, "pii")
    return Cleaned(
        record_id=row.record_id,
        batch_id=row.batch_id,
        prompt=prompt,
        completion=completion,
        language=verdict.language,
        origin=row.origin,
        redactions=redactions,
        source=row.source,
        file_row=row.file_row,
    )


def _reject(row: RawRow, reason: str) -> Reject:
    return Reject(row.record_id, row.batch_id, reason, row.source, row.file_row)


def _length_problem(prompt: str, completion: str, max_chars: int) -> str | None:
    if not prompt:
        return "empty_prompt"
    if not completion:
        return "empty_completion"
    if len(prompt) + len(completion) > max_chars:
        return "too_long"
    return None
