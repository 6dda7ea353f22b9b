"""The plan and the batches: fixed by manifest, rows and seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_events.workload import Train
from headrace_trainer.app import checkpoint_root
from headrace_trainer.core.batches import batches, epoch_batches
from headrace_trainer.core.plan import plan_training


@pytest.mark.parametrize(
    ("rows", "fields", "steps"),
    [
        (100, {"batch_size": 16, "epochs": 2}, 14),
        (100, {"batch_size": 16, "epochs": 2, "max_steps": 5}, 5),
        (100, {"batch_size": 16, "epochs": 2, "max_steps": 500}, 14),
        (1, {"batch_size": 16, "epochs": 1}, 1),
    ],
)
def test_steps_come_from_manifest_and_rows(rows: int, fields: dict[str, int], steps: int) -> None:
    assert plan_training(rows, Train(**fields)).steps == steps


def test_no_rows_is_no_plan() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        plan_training(0, Train())


def test_the_learning_rate_rises_and_falls_to_zero() -> None:
    plan = plan_training(1600, Train(batch_size=16, epochs=1, learning_rate=1e-3))
    rates = [plan.learning_rate_at(step) for step in range(plan.steps + 1)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] == 0.0
    assert 0 < rates[0] < rates[1]
    assert top < plan.steps * 0.1
    assert rates[top:] == sorted(rates[top:], reverse=True)


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=200),
    st.integers(1, 20),
    st.integers(0, 5),
    st.integers(0, 3),
)
def test_each_row_comes_once_in_an_epoch(
    lengths: list[int], size: int, seed: int, epoch: int
) -> None:
    found = epoch_batches(lengths, size, seed, epoch)
    assert sorted(row for batch in found for row in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in found)
    assert found == epoch_batches(lengths, size, seed, epoch)


def test_batches_hold_rows_of_like_length_and_seeds_and_epochs_differ() -> None:
    # A whole pool: what is left over after it is sorted by itself, into wider batches.
    lengths = [(row * 37) % 200 + 1 for row in range(256)]
    first = epoch_batches(lengths, 16, 0, 0)
    spread = [max(lengths[r] for r in b) - min(lengths[r] for r in b) for b in first]
    assert max(spread) < 40
    assert first != epoch_batches(lengths, 16, 1, 0)
    assert first != epoch_batches(lengths, 16, 0, 1)


def test_no_rows_no_batches() -> None:
    assert list(batches([], 4, 0)) == []


def test_checkpoints_lie_under_the_storage_root() -> None:
    assert checkpoint_root("s3://bucket/headrace/") == "s3://bucket/headrace/checkpoints"
    assert checkpoint_root("/data") == "/data/checkpoints"
