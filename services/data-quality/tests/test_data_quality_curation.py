"""Curation: duplicates, conflicts, a split that never changes, a holdout that never leaks."""

from collections import Counter

from headrace_data_quality.core.curation import Curated, curate
from headrace_data_quality.core.near_duplicates import NearDuplicates, bands_for
from headrace_data_quality.core.profile import profile
from headrace_data_quality.core.rows import DatasetRow, Origin, RawRow
from headrace_data_quality.core.split import split_of
from headrace_data_quality.core.text import prompt_key
from headrace_data_quality.core.versions import dataset_digest, difference, obstacle, plan_id
from headrace_events.workload import Data, Dedup

COUNTRIES = [
    "Hungary",
    "Austria",
    "Slovakia",
    "Romania",
    "Serbia",
    "Croatia",
    "Slovenia",
    "Ukraine",
    "Poland",
    "Germany",
    "France",
    "Spain",
    "Portugal",
    "Italy",
    "Greece",
    "Norway",
    "Sweden",
    "Finland",
    "Denmark",
    "Iceland",
    "Ireland",
    "Belgium",
]
SUBJECTS = [
    "fees",
    "cash",
    "transfers",
    "cards",
    "limits",
    "loans",
    "passports",
    "insurance",
    "taxes",
    "pensions",
]


def questions(count: int) -> list[str]:
    """Return questions that are no near duplicates of one another."""
    made = [
        f"{subject.capitalize()} while I travel in {country}: what must I know of {subject} there?"
        for subject in SUBJECTS
        for country in COUNTRIES
    ]
    return made[:count]


def unsure(_text: str) -> dict[str, float]:
    return {"en": 0.9}


def raw(pairs: list[tuple[str, str]], batch: str = "b1", origin: Origin = "source") -> list[RawRow]:
    return [RawRow(f"{batch}-{i}", batch, p, c, origin) for i, (p, c) in enumerate(pairs)]


def run(new: list[RawRow], previous: list[DatasetRow] | None = None, **policy: object) -> Curated:
    return curate(previous or [], new, Data.model_validate({"holdout": 0.2, **policy}), unsure)


def held_out(rows: list[DatasetRow]) -> set[str]:
    return {prompt_key(row.prompt) for row in rows if row.split == "holdout"}


def prompt_of(split: str, start: int = 0, holdout: float = 0.2) -> str:
    return next(q for q in questions(220)[start:] if split_of(prompt_key(q), holdout) == split)


def test_exact_duplicates_and_conflicts_within_a_batch() -> None:
    question = questions(1)[0]
    made = run(
        raw([(question, "A"), (question.upper(), " a "), (question, "B"), (questions(30)[29], "A")])
    )
    assert sorted(row.record_id for row in made.rows) == ["b1-0", "b1-3"]
    assert {r.record_id: r.reason for r in made.rejects} == {
        "b1-1": "exact_duplicate",
        "b1-2": "conflicting_completion",
    }


def test_near_duplicates_with_the_same_answer() -> None:
    base = prompt_of("train")
    near = next(
        text
        for mark in ("!", ";", ",", " please", " now", " ok")
        if split_of(prompt_key(text := base.replace("?", f"{mark} really?")), 0.2) == "train"
        and NearDuplicatesOf(base, 0.7).like(text)
    )
    same = run(raw([(base, "A"), (near, "a")]), dedup={"near": 0.7})
    assert same.reasons() == {"near_duplicate": 1}
    different = run(raw([(base, "A"), (near, "B")]), dedup={"near": 0.7})
    assert different.reasons() == {}
    strict = run(raw([(base, "A"), (near, "A")]), dedup={"near": 1.0})
    assert strict.reasons() == {}


class NearDuplicatesOf:
    """One key to compare with."""

    def __init__(self, text: str, threshold: float) -> None:
        self._index = NearDuplicates(threshold)
        self._index.add(prompt_key(text))

    def like(self, text: str) -> bool:
        return bool(self._index.like(prompt_key(text)))


def variant(base: str, split: str) -> str:
    """Return a near duplicate of `base` whose own hash puts it into `split`."""
    marks = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    return next(
        text
        for mark in marks
        if split_of(prompt_key(text := base.replace("?", f" {mark}?")), 0.2) == split
    )


def test_the_holdout_does_not_leak_into_train() -> None:
    held = prompt_of("holdout")
    leak = variant(held, "train")
    assert NearDuplicatesOf(held, 0.8).like(leak)
    for rows in ([(leak, "A"), (held, "B")], [(held, "B"), (leak, "A")]):
        made = run(raw(rows), dedup={"near": 0.8})
        assert [row.prompt for row in made.rows] == [held]
        assert made.reasons() == {"near_duplicate_of_holdout": 1}


def test_a_new_holdout_row_like_an_old_train_row_stays_out() -> None:
    trained = prompt_of("train")
    first = run(raw([(trained, "A")]), dedup={"near": 0.8})
    late = variant(trained, "holdout")
    second = run(raw([(late, "B")], "b2"), first.rows, dedup={"near": 0.8})
    assert second.reasons() == {"near_duplicate_of_train": 1}
    assert second.added == 0


def test_a_prompt_never_changes_its_split() -> None:
    pairs = [(q, "answer to " + q) for q in questions(220)]
    first = run(raw(pairs[:120]))
    second = run(raw(pairs[120:] + pairs[:20], "b2"), first.rows)
    assert held_out(first.rows) <= held_out(second.rows)
    trained = {prompt_key(row.prompt) for row in first.rows if row.split == "train"}
    assert trained.isdisjoint(held_out(second.rows))
    # Another share of holdout moves nothing that is there already.
    third = run(raw([("Something else entirely, új kérdés?", "x")], "b3"), second.rows, holdout=0.5)
    assert held_out(second.rows) <= held_out(third.rows)
    assert 0.1 < len(held_out(second.rows)) / len(second.rows) < 0.3


def test_new_rows_are_merged_into_the_previous_version() -> None:
    pairs = [(q, "answer to " + q) for q in questions(60)]
    first = run(raw(pairs[:40]))
    second = run(raw(pairs[30:], "b2"), first.rows)
    assert second.added == len(second.rows) - len(first.rows) > 0
    assert second.reasons()["exact_duplicate"] == sum(
        1 for row in first.rows if row.prompt in {q for q, _ in pairs[30:40]}
    )


def test_a_correction_beats_a_source_and_a_source_beats_what_was_liked() -> None:
    question = questions(1)[0]
    old = run(raw([(question, "from the source")]))
    liked = run(raw([(question, "liked")], "b2", "liked"), old.rows)
    assert (liked.reasons(), liked.added) == ({"conflicting_completion": 1}, 0)
    corrected = run(raw([(question, "corrected")], "b3", "correction"), old.rows)
    assert [row.completion for row in corrected.rows] == ["corrected"]
    assert corrected.rows[0].split == old.rows[0].split
    assert [(r.record_id, r.reason) for r in corrected.rejects] == [("b1-0", "superseded")]
    again = run(raw([(question, "from the source")], "b4"), corrected.rows)
    assert [row.completion for row in again.rows] == ["corrected"]
    newer = run(raw([(question, "better")], "b5", "correction"), corrected.rows)
    assert [row.completion for row in newer.rows] == ["better"]


def test_of_two_batches_of_one_curation_the_later_wins() -> None:
    question = questions(1)[0]
    made = run(raw([(question, "old")], "b1") + raw([(question, "new")], "b2"))
    assert [row.completion for row in made.rows] == ["new"]
    assert made.reasons() == {"superseded": 1}


def test_redactions_are_counted_and_prompts_compared_after_them() -> None:
    made = run(raw([("Write to a@b.hu about it", "x"), ("Write to c@d.hu about it", "x")]))
    assert [row.prompt for row in made.rows] == ["Write to <EMAIL> about it"]
    assert (made.redactions, made.reasons()) == ({"email": 2}, {"exact_duplicate": 1})


def test_lsh_finds_what_the_threshold_asks_for() -> None:
    assert [bands_for(t) for t in (0.95, 0.9, 0.8, 0.5)] == [16, 16, 32, 64]
    index = NearDuplicates(0.8)
    pairs = questions(200)
    for text in pairs:
        index.add(prompt_key(text))
    assert all(number in index.like(prompt_key(text)) for number, text in enumerate(pairs))
    typo = prompt_key(pairs[7].replace("must", "mus"))
    assert 7 in index.like(typo)
    assert index.like("something that nobody asked") == []


def test_obstacles() -> None:
    policy = Data(min_rows=3, holdout=0.2)
    rows = run(raw([(q, "x" + q) for q in questions(40)])).rows
    nothing = Curated(rows, [], {}, added=0)
    assert "nothing new since version 4" in str(obstacle(nothing, policy, 4))
    few = Curated(rows[:2], [], {}, added=2)
    assert "2 rows are left and spec.data.min_rows asks for 3" in str(obstacle(few, policy, 0))
    train = [row for row in rows if row.split == "train"]
    assert "into the holdout" in str(obstacle(Curated(train, [], {}, 1), policy, 0))
    holdout = [row for row in rows if row.split == "holdout"]
    assert "all" in str(obstacle(Curated(holdout, [], {}, 1), policy, 0))
    assert obstacle(Curated(rows, [], {}, len(rows)), policy, 0) is None


def test_profile_counts_and_never_quotes() -> None:
    labels = ["titkos_a", "titkos_b"]
    made = run(raw([(q, labels[i % 2]) for i, q in enumerate(questions(40))])).rows
    found = profile(made)
    assert found["rows"] == len(made)
    assert found["splits"] == dict(sorted(Counter(row.split for row in made).items()))
    assert found["completions"]["kind"] == "labels"
    assert sum(found["completions"]["top_counts"]) == len(made)
    assert (
        found["prompt_chars"]["p0"] <= found["prompt_chars"]["p50"] <= found["prompt_chars"]["p100"]
    )
    assert found["tokens"]["estimated_total"] > len(made)
    assert "titkos" not in str(found)
    texts = run(raw([(q, "answer " + q) for q in questions(40)])).rows
    assert profile(texts)["completions"]["kind"] == "text"


def test_digest_and_difference() -> None:
    first = run(raw([(q, "x" + q) for q in questions(40)])).rows
    assert dataset_digest(first) == dataset_digest(first[::-1])
    second = run(
        raw([(first[0].prompt, "corrected"), ("Quite another one?", "y")], "b2", "correction"),
        first,
    ).rows
    assert dataset_digest(first) != dataset_digest(second)
    assert difference(first, second) == {
        "added": 1,
        "removed": 0,
        "changed_completion": 1,
        "changed_split": 0,
        "unchanged": len(first) - 1,
    }
    assert plan_id("w", 1, ["a"]) == plan_id("w", 1, ["a"]) != plan_id("w", 2, ["a"])


def test_dedup_threshold_of_the_manifest_is_used() -> None:
    assert Data().dedup == Dedup(near=0.9)
