"""What of a request without an answer counts, and against whom."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace_events.inference import InferenceCompleted, InferenceRejected, Usage
from headrace_kit.database import Database
from headrace_monitor.adapters.outcomes import arm, record
from headrace_monitor.adapters.tables import Base
from headrace_monitor.core.outcomes import UNROUTED, of_completed, of_rejected
from headrace_monitor.core.windows import WindowBoard

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def rejected(reason: str, **more: Any) -> InferenceRejected:
    fields = {
        "request_id": "r",
        "reason": reason,
        "detail": "why",
        "stage": "serving",
        "model_version": "2",
        "arm": "canary",
        **more,
    }
    return InferenceRejected.model_validate(fields)


@pytest.mark.parametrize(
    "reason", ["cancelled", "deadline_exceeded", "invalid_request", "unknown_workload"]
)
def test_what_a_caller_does_counts_against_nobody(reason: str) -> None:
    assert of_rejected(rejected(reason), "docs", NOW) is None


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (rejected("engine_error"), "error"),
        (rejected("guardrail", stage="output"), "blocked"),
        (rejected("engine_error", fault="capacity"), "unavailable"),
        (rejected("guard_unavailable"), "unavailable"),
        (rejected("overloaded"), "unavailable"),
    ],
)
def test_only_a_version_s_own_failure_is_its_error(found: InferenceRejected, kind: str) -> None:
    outcome = of_rejected(found, "docs", NOW)
    assert outcome is not None
    assert (outcome.kind, outcome.version) == (kind, "2")


@pytest.mark.parametrize("arm", ["canary", "production"])
def test_a_pinned_request_counts_in_nothing(arm: str) -> None:
    """However it ends: it is no evidence of a canary, and in no window of a version."""
    answered = InferenceCompleted.model_validate(
        {
            "request_id": "r",
            "messages": [],
            "text": "yes",
            "model": "docs",
            "model_version": "2",
            "arm": arm,
            "finish_reason": "stop",
            "usage": Usage(input_tokens=1, output_tokens=1),
            "latency_ms": 9000.0,
            "pinned": True,
        }
    )
    assert of_completed(answered, "docs", NOW, b"") is None
    assert of_completed(answered.model_copy(update={"pinned": False}), "docs", NOW, b"")
    for reason in ("engine_error", "overloaded", "guard_unavailable"):
        assert of_rejected(rejected(reason, arm=arm, pinned=True), "docs", NOW) is None


def test_the_error_rate_sees_an_outage() -> None:
    board = WindowBoard()
    for reason in ("overloaded", "guard_unavailable"):
        outcome = of_rejected(rejected(reason, model_version=None, arm=None), "docs", NOW)
        assert outcome is not None
        board.add(outcome)
    (window,) = board.windows(300, NOW)
    assert (window.version, window.requests, window.errors) == (UNROUTED, 2, 2)


async def test_a_canary_is_judged_by_what_was_its_own(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'monitor.db'}", Base.metadata)
    await database.create()
    ended = [
        rejected("engine_error", request_id="own"),
        rejected("guardrail", stage="output", request_id="blocked"),
        rejected("engine_error", fault="capacity", request_id="engine-away"),
        rejected("guard_unavailable", request_id="guard-away"),
        rejected("overloaded", request_id="no-room"),
        rejected("cancelled", request_id="cancelled"),
        rejected("deadline_exceeded", request_id="late"),
        rejected("invalid_request", request_id="too-long"),
    ]
    found = [outcome for data in ended if (outcome := of_rejected(data, "docs", NOW))]
    async with database.transaction() as session:
        await record(session, found)
        judged = await arm(session, "docs", "2", NOW)
    await database.close()
    assert (judged.requests, judged.errors) == (2, 2)
