"""Traffic and feedback: at least once in, exactly once in the tables."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headrace_events import Event
from headrace_events.inference import FeedbackGiven, InferenceRejected
from headrace_ingest.adapters import traffic_table
from headrace_ingest.adapters.capture_flush import CaptureFlush
from headrace_ingest.adapters.tables import CaptureRow, FeedbackRow

Outcome = Callable[..., Event[Any]]


def flush_of(bench: Any, **settings: Any) -> CaptureFlush:
    capture = bench.service.settings.capture.model_copy(update=settings)
    return CaptureFlush(bench.service, capture)


async def test_traffic_lands_once_however_often_it_comes(bench: Any, outcome: Outcome) -> None:
    await bench.apply("support")
    rejected = Event.new(
        InferenceRejected(request_id="r9", reason="guardrail", detail="x", stage="input"),
        source="test",
        workload="support",
    )
    events = [*(outcome(i) for i in range(4)), rejected]
    flush = flush_of(bench)
    for _ in range(2):
        await bench.handlers.outcomes(events)
        await flush.tick()
    await bench.handlers.outcomes(events[:2])
    await flush.judged("support", [])
    table = bench.table("traffic", "support").sort("request_id")
    assert table["request_id"].to_list() == ["r0", "r1", "r2", "r3", "r9"]
    assert table["prompt"].to_list() == [*(f"Question {i}?" for i in range(4)), None]
    assert table["outcome"].to_list() == ["completed"] * 4 + ["guardrail"]
    async with bench.service.unit_of_work() as uow:
        row = await uow.session.get(CaptureRow, "r1")
    assert row.record is None, "the text is in the traffic table alone"


async def test_a_few_requests_wait_for_more(bench: Any, outcome: Outcome) -> None:
    await bench.apply("support")
    flush = flush_of(bench)
    await bench.handlers.outcomes([outcome(1), outcome(2)])
    await flush.tick()
    assert bench.table("traffic", "support").is_empty()
    await bench.handlers.outcomes([outcome(3)])
    await flush.tick()
    assert len(bench.table("traffic", "support")) == 3


async def test_killed_in_a_flush_nothing_is_lost_or_doubled(
    make_bench: Callable[[], Awaitable[Any]], outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await make_bench()
    await first.apply("support")
    await first.handlers.outcomes([outcome(i) for i in range(3)])
    append = traffic_table.append

    def die_before(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    def die_after(*arguments: Any) -> None:
        append(*arguments)
        raise KeyboardInterrupt

    for death in (die_before, die_after):
        monkeypatch.setattr(traffic_table, "append", death)
        with pytest.raises(KeyboardInterrupt):
            await flush_of(first).tick()
    monkeypatch.setattr(traffic_table, "append", append)
    second = await make_bench()
    await flush_of(second).tick()
    assert second.table("traffic", "support")["request_id"].sort().to_list() == ["r0", "r1", "r2"]


async def test_feedback_becomes_a_batch(bench: Any, outcome: Outcome) -> None:
    await bench.apply("support", feedback_batch=2)
    # One comes before its request, one after; one teaches nothing; one is of no known request.
    await bench.give("support", FeedbackGiven(request_id="r1", rating=-1, correction="Better 1."))
    await bench.give("support", FeedbackGiven(request_id="r7", rating=1))
    await bench.handlers.outcomes([outcome(i) for i in range(4)])
    await bench.give("support", FeedbackGiven(request_id="r3", rating=-1))
    assert await bench.run_jobs() == []
    await bench.give("support", FeedbackGiven(request_id="r2", rating=1))
    (job,) = await bench.run_jobs()
    assert job.state == "done"
    (event,) = await bench.outbox()
    landed = json.loads(event.body)
    assert (landed["source"], landed["rows"]) == ("traffic", 2)
    raw = bench.table("raw", "support").sort("prompt")
    assert raw.select("prompt", "completion").rows() == [
        ("Question 1?", "Better 1."), ("Question 2?", "Answer 2."),
    ]  # fmt: skip
    assert [json.loads(o)["kind"] for o in raw["origin"]] == ["correction", "liked"]
    traffic = bench.table("traffic", "support").sort("request_id")
    assert traffic["rating"].to_list() == [None, -1, 1, -1]
    assert traffic["correction"].to_list() == [None, "Better 1.", None, None]
    async with bench.service.unit_of_work() as uow:
        row = await uow.session.get(FeedbackRow, "r1")
    assert row.correction is None, "the text is in the tables alone"
    # The same feedback does not count for the next batch; newer feedback does.
    await bench.give("support", FeedbackGiven(request_id="r0", rating=1))
    assert await bench.run_jobs() == []
    await bench.give("support", FeedbackGiven(request_id="r1", rating=-1, correction="Best."))
    await bench.run_jobs()
    assert len(await bench.outbox()) == 2
    newest = bench.table("raw", "support").sort("landed_at")[-2:]
    assert sorted(newest["completion"]) == ["Answer 0.", "Best."]


async def test_feedback_waits_for_a_manifest_that_wants_it(bench: Any, outcome: Outcome) -> None:
    await bench.handlers.outcomes([outcome(1)])
    await bench.give("support", FeedbackGiven(request_id="r1", rating=1))
    assert await bench.run_jobs() == []
    await bench.apply("support", feedback_batch=1)
    (job,) = await bench.run_jobs()
    assert job.key.startswith("traffic/")


async def test_an_answer_that_was_cut_is_not_learnt_from(bench: Any, outcome: Outcome) -> None:
    await bench.apply("support", feedback_batch=1)
    await bench.handlers.outcomes([outcome(1, finish_reason="content_filter")])
    await bench.give("support", FeedbackGiven(request_id="r1", rating=1))
    assert await bench.run_jobs() == []


async def test_a_name_that_is_no_workload_reaches_no_folder(bench: Any, outcome: Outcome) -> None:
    names = ("../escape", "", "UPPER", "a/b", "x" * 64)
    await bench.handlers.outcomes([outcome(i, name) for i, name in enumerate(names)])
    await flush_of(bench).judged("support", [])
    async with bench.service.unit_of_work() as uow:
        assert await uow.session.get(CaptureRow, "r0") is None
    assert not list(bench.root.parent.rglob("escape"))


async def test_workloads_are_kept_apart(bench: Any, outcome: Outcome) -> None:
    await bench.apply("support", feedback_batch=2)
    await bench.apply("docs", feedback_batch=2)
    await bench.handlers.outcomes([outcome(1), outcome(2, "docs"), outcome(3)])
    for number in (1, 2):
        await bench.give("support", FeedbackGiven(request_id=f"r{number}", rating=1))
    assert await bench.run_jobs() == []
    await bench.give("support", FeedbackGiven(request_id="r3", rating=1))
    await bench.run_jobs()
    assert sorted(bench.table("raw", "support")["prompt"]) == ["Question 1?", "Question 3?"]
    assert bench.table("raw", "docs").is_empty()


async def test_several_flushes_and_late_feedback(bench: Any, outcome: Outcome) -> None:
    await bench.apply("support")
    flush = flush_of(bench)
    for start in (0, 3, 6):
        await bench.handlers.outcomes([outcome(i) for i in range(start, start + 3)])
        await flush.tick()
    await bench.give("support", FeedbackGiven(request_id="r1", rating=1))
    await bench.give("support", FeedbackGiven(request_id="r8", rating=-1))
    await flush.tick()
    table = bench.table("traffic", "support")
    assert len(table) == 9
    rated = table.filter(table["rating"].is_not_null()).sort("request_id")
    assert rated.select("request_id", "rating").rows() == [("r1", 1), ("r8", -1)]


async def test_feedback_is_written_in_steps_and_before_it_is_landed(
    bench: Any, outcome: Outcome
) -> None:
    await bench.apply("support", feedback_batch=100)
    await bench.handlers.outcomes([outcome(number) for number in range(3)])
    flush = flush_of(bench, flush_rows=3, judge_rows=3, judge_seconds=3600)
    await flush.tick()

    def ratings() -> list[int | None]:
        found: list[int | None] = bench.table("traffic", "support")["rating"].to_list()
        return found

    for number in range(2):
        await bench.give("support", FeedbackGiven(request_id=f"r{number}", rating=1))
        await flush.tick()
    assert ratings() == [None] * 3, "each step rewrites the files that hold its requests"
    old = flush_of(bench, flush_rows=3, judge_rows=3, judge_seconds=0)
    await old.tick()
    assert sorted(ratings(), key=str) == [1, 1, None], "nothing waits for longer than so long"
    for number in range(3):
        await bench.give("support", FeedbackGiven(request_id=f"r{number}", rating=-1))
    await flush.tick()
    assert ratings() == [-1] * 3, "as much as is due at once"
    await bench.give("support", FeedbackGiven(request_id="r0", rating=1))
    (judged,) = await flush.judged("support", ["r0"])
    assert judged.rating == 1
