"""Curation: from the previous version and new records to the next version."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace_data_quality.core.cleaning import Cleaned, clean
from headrace_data_quality.core.language import Detect
from headrace_data_quality.core.near_duplicates import NearDuplicates
from headrace_data_quality.core.rows import DatasetRow, Kept, RawRow, Reject, Split
from headrace_data_quality.core.split import split_of
from headrace_data_quality.core.text import prompt_key, same_text
from headrace_events.workload import Data


@dataclass(frozen=True, slots=True)
class Curated:
    """What a curation makes of its input."""

    rows: list[DatasetRow]
    rejects: list[Reject]
    redactions: dict[str, int]
    added: int
    """Rows that the previous version did not have, or had with another completion."""

    def reasons(self) -> dict[str, int]:
        """Count the rejects by reason."""
        return dict(sorted(Counter(r.reason for r in self.rejects).items()))


def curate(
    previous: Sequence[DatasetRow], new: Sequence[RawRow], policy: Data, detect: Detect
) -> Curated:
    """Clean the new records and merge them into the previous version.

    The order of `new` counts where two of its rows have one prompt: of equal trust, a later batch
    wins over an earlier one and, within a batch, the first row wins.
    """
    rejects: list[Reject] = []
    redactions: Counter[str] = Counter()
    cleaned: list[Cleaned] = []
    for row in new:
        result = clean(row, policy, detect)
        if isinstance(result, Reject):
            rejects.append(result)
        else:
            redactions.update(result.redactions)
            cleaned.append(result)
    merge = _Merge(previous, policy)
    rejects += merge.take(cleaned)
    return Curated(merge.rows(), rejects, dict(sorted(redactions.items())), merge.added)


@dataclass(slots=True)
class _Entry:
    """The row of a prompt so far; `batch_id` is None for rows of the previous version."""

    row: DatasetRow
    batch_id: str | None


@dataclass(slots=True)
class _Side:
    """The rows of one split, with their index of near duplicates."""

    index: NearDuplicates
    keys: list[str] = field(default_factory=list)

    def add(self, key: str) -> None:
        self.index.add(key)
        self.keys.append(key)

    def like(self, key: str) -> list[tuple[str, float]]:
        """Return the keys like this one with their similarity, the likest first."""
        found = [(self.keys[number], alike) for number, alike in self.index.similar(key)]
        return sorted(found, key=lambda one: -one[1])


class _Merge:
    def __init__(self, previous: Sequence[DatasetRow], policy: Data) -> None:
        self._holdout = policy.holdout
        self._entries = {prompt_key(row.prompt): _Entry(row, None) for row in previous}
        self._sides: dict[Split, _Side] = {
            "train": _Side(NearDuplicates(policy.dedup.near)),
            "holdout": _Side(NearDuplicates(policy.dedup.near)),
        }
        for key, entry in self._entries.items():
            self._sides[entry.row.split].add(key)
        self.added = 0

    def rows(self) -> list[DatasetRow]:
        """Return the rows of the next version, in a stable order."""
        return sorted((e.row for e in self._entries.values()), key=lambda row: row.record_id)

    def take(self, cleaned: Sequence[Cleaned]) -> list[Reject]:
        """Merge cleaned rows; the holdout's come first, so that the train rows avoid them."""
        rejects: list[Reject] = []
        by_prompt: dict[str, _Entry] = {}
        for one in cleaned:
            rejects += self._settle(one, by_prompt)
        fresh = [(key, e) for key, e in by_prompt.items() if key not in self._entries]
        for key, entry in by_prompt.items():
            if key in self._entries:
                rejects += self._replace(key, entry)
        for split in ("holdout", "train"):
            for key, entry in fresh:
                if entry.row.split == split:
                    rejects += self._add(key, entry)
        return rejects

    def _settle(self, one: Cleaned, by_prompt: dict[str, _Entry]) -> list[Reject]:
        """Choose among the new rows of one prompt."""
        key = prompt_key(one.prompt)
        entry = _Entry(self._row(one, key), one.batch_id)
        rival = by_prompt.get(key)
        if rival is None:
            by_prompt[key] = entry
            return []
        if same_text(rival.row.completion, entry.row.completion):
            return [_reject(entry, "exact_duplicate", rival)]
        later = entry.batch_id != rival.batch_id
        wins = entry.row.trust > rival.row.trust or (entry.row.trust == rival.row.trust and later)
        if not wins:
            return [_reject(entry, "conflicting_completion", rival)]
        by_prompt[key] = entry
        return [_reject(rival, "superseded", entry)]

    def _replace(self, key: str, entry: _Entry) -> list[Reject]:
        """Weigh a new row against the previous version's row of the same prompt."""
        known = self._entries[key]
        if same_text(known.row.completion, entry.row.completion):
            return [_reject(entry, "exact_duplicate", known)]
        if entry.row.trust < known.row.trust:
            return [_reject(entry, "conflicting_completion", known)]
        self._entries[key] = entry
        self.added += 1
        return [_reject(known, "superseded", entry)]

    def _add(self, key: str, entry: _Entry) -> list[Reject]:
        """Add a new prompt, unless it is too like another one."""
        mine, other = self._sides[entry.row.split], self._sides[_other(entry.row.split)]
        for like, alike in other.like(key)[:1]:
            # Of a pair across the splits only one may stay, or the holdout would leak.
            reason = f"near_duplicate_of_{_other(entry.row.split)}"
            return [_reject(entry, reason, self._entries[like], alike)]
        for like, alike in mine.like(key):
            # Similar prompts with different answers are no duplicates: "What does `a.b` do?" and
            # "What does `a.c` do?", or two intents that differ in one word.
            if same_text(self._entries[like].row.completion, entry.row.completion):
                return [_reject(entry, "near_duplicate", self._entries[like], alike)]
        mine.add(key)
        self._entries[key] = entry
        self.added += 1
        return []

    def _row(self, one: Cleaned, key: str) -> DatasetRow:
        known = self._entries.get(key)
        return DatasetRow(
            record_id=one.record_id,
            prompt=one.prompt,
            completion=one.completion,
            language=one.language,
            split=known.row.split if known else split_of(key, self._holdout),
            origin=one.origin,
            source=one.source,
            file_row=one.file_row,
        )


def _other(split: Split) -> Split:
    return "train" if split == "holdout" else "holdout"


def _reject(entry: _Entry, reason: str, against: _Entry, similarity: float | None = None) -> Reject:
    row, kept = entry.row, against.row
    return Reject(
        record_id=row.record_id,
        batch_id=entry.batch_id or "",
        reason=reason,
        source=row.source,
        file_row=row.file_row,
        kept=Kept(kept.record_id, kept.source, kept.file_row),
        similarity=similarity,
    )
