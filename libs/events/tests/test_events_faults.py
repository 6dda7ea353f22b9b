"""Whose fault an outcome without an answer is."""

from typing import Any, get_args

import pytest

from headrace_events.inference import Fault, InferenceRejected, fault_of


def rejected(reason: str, **more: Any) -> InferenceRejected:
    fields = {"request_id": "r", "reason": reason, "detail": "why", "stage": "serving", **more}
    return InferenceRejected.model_validate(fields)


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (rejected("guardrail", stage="input"), "caller"),
        (rejected("guardrail", stage="output"), "version"),
        (rejected("deadline_exceeded"), "caller"),
        (rejected("cancelled"), "caller"),
        (rejected("unknown_workload"), "caller"),
        (rejected("invalid_request"), "caller"),
        (rejected("overloaded"), "capacity"),
        (rejected("guard_unavailable"), "guard"),
        # A producer of the release before says no more than this.
        (rejected("engine_error"), "version"),
        (rejected("engine_error", fault="capacity"), "capacity"),
        (rejected("deadline_exceeded", fault="capacity"), "capacity"),
    ],
)
def test_whose_fault_it_is(outcome: InferenceRejected, fault: Fault) -> None:
    assert fault_of(outcome) == fault


def test_every_reason_is_somebody_s_fault() -> None:
    for reason in get_args(InferenceRejected.model_fields["reason"].annotation):
        assert fault_of(rejected(reason)) in get_args(Fault)
