"""The client's parts that need no Kafka."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from headrace_client import (
    AnswerStream,
    Blocked,
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    EngineFailed,
    GuardUnavailable,
    HeadraceClient,
    HeadraceError,
    InvalidRequest,
    NotConfigured,
    Overloaded,
    PendingAnswer,
    Rejected,
    Timeout,
    UnknownWorkload,
    Unreachable,
)
from headrace_client.errors import rejected
from headrace_client.options import turns
from headrace_client.outcomes import Waiting
from headrace_client.settings import VARIABLE, bootstrap_servers
from headrace_client.tracing import TraceIds
from headrace_events.inference import InferencePartCompleted, InferenceRejected

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")


def part(index: int, text: str) -> InferencePartCompleted:
    return InferencePartCompleted(request_id="r", index=index, text=text)


def rejection(detail: str = "d") -> InferenceRejected:
    return InferenceRejected(
        request_id="r", reason="guardrail", detail=detail, stage="input", trace_id=None
    )


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    return tmp_path


def test_what_is_given_wins_over_environment_and_state(
    in_an_empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = in_an_empty_folder / ".headrace" / "state.json"
    state.parent.mkdir()
    state.write_text(json.dumps({"kafka": "from-state:1"}))
    assert bootstrap_servers() == "from-state:1"
    monkeypatch.setenv(VARIABLE, "from-environment:2")
    assert bootstrap_servers() == "from-environment:2"
    assert bootstrap_servers("given:3") == "given:3"


@pytest.mark.parametrize("content", ["{", "[]", '{"kafka": 3}', '{"other": 1}'])
def test_a_state_that_says_nothing_is_no_crash(in_an_empty_folder: Path, content: str) -> None:
    state = in_an_empty_folder / ".headrace" / "state.json"
    state.parent.mkdir()
    state.write_text(content)
    with pytest.raises(NotConfigured, match=VARIABLE):
        HeadraceClient()


def test_traces_are_valid_and_rate_limited() -> None:
    traces = TraceIds(rate=10)
    made = [traces.traceparent() for _ in range(100)]
    assert all(TRACEPARENT.fullmatch(t) for t in made)
    assert len({t[3:35] for t in made}) == 100
    assert 10 <= sum(t.endswith("01") for t in made) <= 12
    assert traces.traceparent(sampled=True).endswith("01")
    assert traces.traceparent(sampled=False).endswith("00")
    assert TraceIds(rate=0).traceparent().endswith("00")


async def test_parts_after_a_gap_are_left_to_the_outcome() -> None:
    waiting = Waiting(asyncio.get_running_loop().create_future())
    for index, text in [(0, "a"), (0, "a"), (1, "b"), (3, "d")]:
        waiting.take_part(part(index, text))
    assert [waiting.parts.get_nowait() for _ in range(waiting.parts.qsize())] == ["a", "b"]


async def test_a_repeated_outcome_changes_nothing() -> None:
    waiting = Waiting(asyncio.get_running_loop().create_future())
    waiting.finish(rejection("first"))
    waiting.finish(rejection("second"))
    outcome = await waiting.outcome
    assert isinstance(outcome, InferenceRejected)
    assert outcome.detail == "first"
    assert waiting.parts.qsize() == 1


def pending(
    kind: type[PendingAnswer], waiting: Waiting, said: list[str], seconds: float = 0.05
) -> Any:
    async def cancel() -> None:
        said.append("cancel")

    return kind(
        "r",
        waiting,
        seconds=seconds,
        until=asyncio.get_running_loop().time() + seconds,
        finish=lambda _: pytest.fail("there is no outcome"),
        give_up=said.append,
        cancel=cancel,
        close=lambda: said.append("closed"),
    )


def waiting() -> Waiting:
    return Waiting(asyncio.get_running_loop().create_future())


async def test_a_silent_stream_times_out_is_cancelled_and_closed() -> None:
    said: list[str] = []
    with pytest.raises(Timeout, match="headrace status"):
        async for _ in pending(AnswerStream, waiting(), said):
            pytest.fail("there are no parts")
    assert said == ["timeout", "closed"]


async def test_who_leaves_a_stream_cancels_it() -> None:
    said: list[str] = []
    growing = waiting()
    growing.take_part(part(0, "a"))
    parts = aiter(pending(AnswerStream, growing, said, 5.0))
    assert await anext(parts) == "a"
    await parts.aclose()  # type: ignore[attr-defined] # it is a generator
    assert said == ["caller", "closed"]


async def test_a_cancelled_wait_cancels_the_request_and_leaves_the_reader_alone() -> None:
    said: list[str] = []
    silent = waiting()
    task = asyncio.create_task(pending(PendingAnswer, silent, said, 5.0).result())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert said == ["caller", "closed"]
    silent.finish(rejection())  # a late outcome is no error


async def test_a_closed_client_is_told_to_who_waits() -> None:
    lost = waiting()
    lost.fail(ConnectionLost("closed"))
    with pytest.raises(ConnectionLost):
        await pending(PendingAnswer, lost, [], 5.0).result()


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("guardrail", Blocked),
        ("deadline_exceeded", DeadlineExceeded),
        ("cancelled", Cancelled),
        ("unknown_workload", UnknownWorkload),
        ("overloaded", Overloaded),
        ("engine_error", EngineFailed),
        ("invalid_request", InvalidRequest),
        ("guard_unavailable", GuardUnavailable),
        ("of_a_newer_release", Rejected),
    ],
)
def test_each_reason_has_its_error(reason: str, kind: type[Rejected]) -> None:
    error = rejected(reason, "why", "r", None)
    assert type(error) is kind
    assert error.reason == reason
    assert isinstance(error, Rejected)
    assert isinstance(error, TimeoutError) == (reason == "deadline_exceeded")


@pytest.mark.parametrize(
    "messages", ["cut \ud83d", [{"role": "user", "content": "cut \ud83d"}]], ids=["text", "turns"]
)
def test_half_an_emoji_travels_as_what_it_is_no_text(messages: Any) -> None:
    (turn,) = turns(messages)
    assert turn.model_dump_json() == '{"role":"user","content":"cut \ufffd"}'
    (whole,) = turns("whole 😀")
    assert whole.content == "whole 😀"


def test_every_reason_of_the_contract_is_covered() -> None:
    reasons = get_args(InferenceRejected.model_fields["reason"].annotation)
    assert all(type(rejected(reason, "", "r", None)) is not Rejected for reason in reasons)


async def test_a_client_that_is_not_entered_says_so() -> None:
    with pytest.raises(HeadraceError, match="async with"):
        await HeadraceClient("localhost:1").chat("docs", "hi")


async def test_feedback_by_id_needs_a_workload() -> None:
    with pytest.raises(ValueError, match="workload"):
        await HeadraceClient("localhost:1").feedback("r", rating=1)


def test_on_uvloop_the_client_warns(caplog: pytest.LogCaptureFixture) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def connect() -> None:
        with pytest.raises(Unreachable):
            async with HeadraceClient("localhost:1"):
                pass

    asyncio.run(connect())
    assert "uvloop" not in caplog.text
    uvloop.run(connect())
    assert "--loop asyncio" in caplog.text
