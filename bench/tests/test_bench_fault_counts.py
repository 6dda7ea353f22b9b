"""The counter finds what it is there to find: a planted loss and a planted double effect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_bench.faults.counts import count, rows
from headrace_bench.faults.report import Row

CAUSES = [f"request-{number}" for number in range(100)]
EFFECTS = [(cause, f"outcome-of-{cause}") for cause in CAUSES]


def test_one_effect_each_is_exact() -> None:
    found = count("outcome", CAUSES, EFFECTS)
    assert found.exact
    assert found.expected == len(CAUSES)


def test_a_planted_loss_is_found_and_named() -> None:
    found = count("outcome", CAUSES, EFFECTS[:42] + EFFECTS[43:])
    assert found.lost == ("request-42",)
    assert not found.twice


def test_a_planted_double_effect_is_found_and_named() -> None:
    found = count("outcome", CAUSES, [*EFFECTS, ("request-7", "another outcome")])
    assert found.twice == ("request-7",)
    assert not found.lost


def test_the_same_effect_seen_again_is_no_second_effect() -> None:
    assert count("outcome", CAUSES, EFFECTS + EFFECTS).exact


def test_rows_have_no_identity_so_each_counts() -> None:
    assert count("row", CAUSES, rows([*CAUSES, "request-3"])).twice == ("request-3",)


def test_what_was_never_acknowledged_does_not_count() -> None:
    assert count("outcome", CAUSES, [*EFFECTS, ("never-acknowledged", "x")]).exact


@given(
    st.lists(st.integers(0, 30), unique=True),
    st.sets(st.integers(0, 30)),
    st.sets(st.integers(0, 30)),
)
def test_any_mixture_of_losses_and_doubles(
    causes: list[int], lost: set[int], doubled: set[int]
) -> None:
    effects = [(str(c), "first") for c in causes if c not in lost]
    effects += [(str(c), "second") for c in causes if c in doubled - lost]
    found = count("x", map(str, causes), effects)
    assert set(found.lost) == {str(c) for c in causes if c in lost}
    assert set(found.twice) == {str(c) for c in causes if c in doubled - lost}


@pytest.mark.parametrize(
    ("effects", "problems", "passed"),
    [
        (EFFECTS, [], True),
        (EFFECTS[1:], [], False),
        ([*EFFECTS, ("request-1", "again")], [], False),
        (EFFECTS, ["outbox {'ingest': 1}"], False),
    ],
)
def test_a_row_passes_only_when_nothing_is_wrong(
    effects: list[tuple[str, str]], problems: list[str], *, passed: bool
) -> None:
    row = Row("kill", 100, 1, 1.0, counts=[count("outcome", CAUSES, effects)], problems=problems)
    assert row.passed is passed
    assert bool(row.explain()) is not passed
