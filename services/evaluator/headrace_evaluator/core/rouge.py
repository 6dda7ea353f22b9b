"""ROUGE-L (Lin 2004): F1 over the longest common subsequence of words.

Google's rouge-score gives the same numbers (the tests hold them against it), but its import pulls
in all of NLTK: 8 s of CPU in every scoring task.
"""

import re
from collections.abc import Sequence

from headrace_evaluator.core.text import normalise

# Letters and digits of any script. rouge-score's own tokenizer keeps [a-z0-9] only and so tears
# Hungarian words apart at each accented letter; on ASCII text both give the same words.
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Return the case-folded words of `text`."""
    return _WORD.findall(normalise(text))


def rouge_l(answer: str, reference: str) -> float:
    """Return the F1 in 0..1; 0 when a side has no words."""
    ours, theirs = words(answer), words(reference)
    common = _longest_common_subsequence(ours, theirs)
    # 2PR / (P + R) with P = common / |ours| and R = common / |theirs|
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


def _longest_common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    lengths = [0] * (len(right) + 1)
    for word in left:
        diagonal = 0
        for index, other in enumerate(right):
            above = lengths[index + 1]
            lengths[index + 1] = diagonal + 1 if word == other else max(above, lengths[index])
            diagonal = above
    return lengths[-1]
