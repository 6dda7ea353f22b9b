"""The counter finds what it is there to find: a planted loss and a planted double effect."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_bench.faults.counts import count, rows
from headrace_bench.faults.effects import curated
from headrace_bench.faults.event_log import EventLog
from headrace_bench.faults.report import Row
from headrace_events import Event, EventData
from headrace_events.data import DatasetCurated, DatasetRejected, RecordsLanded
from headrace_events.references import DatasetRef, TableRef

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


def decision(model: type[EventData], batches: tuple[str, ...]) -> Event[Any]:
    if model is DatasetRejected:
        data: EventData = DatasetRejected(batches=batches, reason="too few rows")
    else:
        table = TableRef(uri="file:///t", version=1)
        dataset = DatasetRef(version=1, table=table, digest="d", train_rows=1, holdout_rows=1)
        data = DatasetCurated(dataset=dataset, batches=batches, sources=(), rejects={})
    return Event[Any].new(data, source="data-quality", workload="w")


def landed(batch: str) -> Event[Any]:
    table = TableRef(uri="file:///t", version=1)
    data = RecordsLanded(batch_id=batch, table=table, rows=1, source="traffic")
    return Event[Any].new(data, source="ingest", workload="w")


def log_of(*events: Event[Any]) -> EventLog:
    log = EventLog()
    for event in events:
        headers = tuple((name, value.encode()) for name, value in event.headers().items())
        log.take(SimpleNamespace(topic=event.topic, headers=headers, value=event.body()))  # type: ignore[arg-type]
    return log


@pytest.mark.parametrize(
    ("decisions", "exact"),
    [
        ([(DatasetCurated, ("a", "b"))], True),
        # Too few rows: they wait, and are decided on again with the next.
        ([(DatasetRejected, ("a",)), (DatasetRejected, ("a", "b"))], True),
        ([(DatasetRejected, ("a",)), (DatasetCurated, ("a", "b"))], True),
        ([(DatasetCurated, ("a",))], False),
        ([(DatasetCurated, ("a", "b")), (DatasetCurated, ("b",))], False),
        ([(DatasetRejected, ("a", "b")), (DatasetRejected, ("a", "b"))], False),
    ],
)
def test_batches_are_decided_on_once(
    decisions: list[tuple[type[EventData], tuple[str, ...]]], *, exact: bool
) -> None:
    made = [decision(model, batches) for model, batches in decisions]
    counts = curated(log_of(landed("a"), landed("b"), *made))
    assert all(found.exact for found in counts) is exact
