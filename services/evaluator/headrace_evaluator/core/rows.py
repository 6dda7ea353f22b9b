"""One holdout row under both models: is the candidate better there, and is it right?"""

from dataclasses import dataclass
from typing import Literal

from headrace_evaluator.core.scores import RowScore, Scored

Outcome = Literal["better", "worse", "same"]
_OF_ANSWERS = ("exact_match", "rouge_l")


@dataclass(frozen=True, slots=True)
class EvaluatedRow:
    """A row with the scores of candidate and incumbent."""

    row_key: str
    record_id: str
    candidate: RowScore
    incumbent: RowScore

    @property
    def outcome(self) -> Outcome:
        """Which model's answer scores higher; without answers, whose likelihood is."""
        measured = False
        for name in _OF_ANSWERS:
            ours, theirs = getattr(self.candidate, name), getattr(self.incumbent, name)
            if ours is None or theirs is None:
                continue
            measured = True
            if ours != theirs:
                return "better" if ours > theirs else "worse"
        ours, theirs = self.candidate.loss, self.incumbent.loss
        if measured or ours is None or theirs is None or ours == theirs:
            return "same"
        return "better" if ours < theirs else "worse"

    @property
    def changed(self) -> bool:
        """Whether the two answer differently."""
        ours, theirs = self.candidate.answer, self.incumbent.answer
        if ours is not None and theirs is not None and ours.strip() != theirs.strip():
            return True
        return self.outcome != "same"

    @property
    def wrong(self) -> bool:
        """Whether the candidate's answer is not the expected one; False if it gave none."""
        found = self.candidate
        score = found.exact_match if found.exact_match is not None else found.rouge_l
        return score is not None and score < 1


def pair(scored: Scored, candidate: str, incumbent: str) -> list[EvaluatedRow]:
    """Return the rows that both models (by key) were scored on."""
    ours, theirs = scored.scores.get(candidate, {}), scored.scores.get(incumbent, {})
    return [
        EvaluatedRow(key, scored.rows.get(key, ""), score, theirs[key])
        for key, score in ours.items()
        if key in theirs
    ]
