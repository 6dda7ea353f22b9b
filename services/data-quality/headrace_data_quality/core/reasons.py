"""Why a row was dropped, in words."""

from headrace_data_quality.core.rows import Kept

NOT_KEPT = "not kept by the release that made it"

_WORDS = {
    "empty_prompt": "its prompt is empty",
    "empty_completion": "its answer is empty",
    "too_long": "prompt and answer together are longer than spec.data.max_chars",
    "language": "it is in none of the languages of spec.data.language",
    "over_budget": "it took too long to look for personal data in it",
    "pii": "it holds personal data, which spec.data.pii drops",
    "exact_duplicate": "the same prompt and answer as {kept}",
    "conflicting_completion": "another answer to the prompt of {kept}, which counts more",
    "superseded": "{kept} has the same prompt and a newer answer, or one that counts more",
    "near_duplicate": "nearly the prompt of {kept} ({alike}), and the same answer",
    "near_duplicate_of_train": "nearly the prompt of {kept} ({alike}), which is trained on",
    "near_duplicate_of_holdout": "nearly the prompt of {kept} ({alike}), which is held out",
}


def explain(reason: str, kept: Kept | None, similarity: float | None, *, told: bool) -> str:
    """Return a sentence; `told` is false for rejects of a release that kept the reason alone."""
    words = _WORDS.get(reason, reason)
    if "{kept}" not in words:
        return words
    if not told or kept is None:
        other = f"another row ({NOT_KEPT})"
    elif kept.file_row is None:
        other = f"row {kept.record_id}"
    else:
        other = f"file row {kept.file_row} of {kept.source.removeprefix('file:')}"
    alike = "similarity not kept" if similarity is None else f"similarity {similarity:.2f}"
    return words.format(kept=other, alike=alike)
