"""The client's parts that need no Kafka."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from headrace_client import HeadraceClient, HeadraceError, NotConfigured, Timeout
from headrace_client.outcomes import Waiting
from headrace_client.settings import VARIABLE, bootstrap_servers
from headrace_client.stream import AnswerStream
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


async def test_a_silent_stream_times_out_and_is_closed() -> None:
    closed: list[bool] = []
    loop = asyncio.get_running_loop()
    stream = AnswerStream(
        Waiting(loop.create_future()),
        finish=lambda _: pytest.fail("there is no outcome"),
        close=lambda: closed.append(True),
        until=loop.time() + 0.05,
        timeout_error=lambda: Timeout(0.05, "r"),
    )
    with pytest.raises(Timeout, match="headrace status"):
        async for _ in stream:
            pytest.fail("there are no parts")
    assert closed == [True]


async def test_a_client_that_is_not_entered_says_so() -> None:
    with pytest.raises(HeadraceError, match="async with"):
        await HeadraceClient("localhost:1").chat("docs", "hi")


async def test_feedback_by_id_needs_a_workload() -> None:
    with pytest.raises(ValueError, match="workload"):
        await HeadraceClient("localhost:1").feedback("r", rating=1)
