"""The profile of a dataset version: figures about its rows, none of their text."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from headrace_data_quality.core.rows import DatasetRow
from headrace_data_quality.core.text import prompt_key

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_TOP = 20
# A completion is a label when few of them stand for many rows.
_MOST_LABELS = 1000
_ROWS_PER_LABEL = 5
# Characters per token of a byte-pair tokeniser: about 4 in English; accented letters and the
# endings of Hungarian make it about 2.6.
_CHARS_PER_TOKEN = {"en": 4.0, "hu": 2.6, "und": 3.5}


def profile(rows: Sequence[DatasetRow]) -> dict[str, Any]:
    """Return row counts, quantiles of lengths, languages, label counts and a token estimate."""
    completions = Counter(row.completion for row in rows)
    prompts = Counter(prompt_key(row.prompt) for row in rows)
    labels = len(completions) <= _MOST_LABELS and len(completions) * _ROWS_PER_LABEL <= len(rows)
    return {
        "rows": len(rows),
        "splits": dict(sorted(Counter(row.split for row in rows).items())),
        "languages": dict(sorted(Counter(row.language for row in rows).items())),
        "origins": dict(sorted(Counter(row.origin for row in rows).items())),
        "prompt_chars": _quantiles(rows, lambda row: len(row.prompt)),
        "completion_chars": _quantiles(rows, lambda row: len(row.completion)),
        "tokens": {
            "estimated_total": round(sum(_tokens(row) for row in rows)),
            "per_row": _quantiles(rows, lambda row: round(_tokens(row))),
        },
        "completions": {
            "kind": "labels" if labels else "text",
            "distinct": len(completions),
            # How often the commonest ones stand there, not what they say.
            "top_counts": [count for _, count in completions.most_common(_TOP)],
        },
        "duplicates": {
            "prompts": len(rows) - len(prompts),
            "completions": len(rows) - len(completions),
        },
    }


def _tokens(row: DatasetRow) -> float:
    chars = len(row.prompt) + len(row.completion)
    return chars / _CHARS_PER_TOKEN.get(row.language, _CHARS_PER_TOKEN["und"])


def _quantiles(rows: Sequence[DatasetRow], measure: Callable[[DatasetRow], int]) -> dict[str, int]:
    values = sorted(measure(row) for row in rows)
    if not values:
        return {}
    last = len(values) - 1
    return {f"p{round(q * 100)}": values[round(q * last)] for q in _QUANTILES}
