"""Cancelling: before, while and after an answer is made; exactly one of the two ends happens."""

import asyncio

import pytest

from headrace_serving.core.admission import Admission
from headrace_serving.core.cancellation import Cancellations, Cancelled
from headrace_serving.core.lanes import URGENT_IN_A_ROW, Lanes


async def test_a_request_that_comes_after_its_cancellation_is_not_begun() -> None:
    cancellations = Cancellations()
    cancellations.cancel("r")
    with pytest.raises(Cancelled):
        async with cancellations.scope("r"):
            pytest.fail("it began")


async def test_what_is_under_way_ends_and_others_go_on() -> None:
    cancellations = Cancellations()
    ended: list[str] = []

    async def work(name: str, seconds: float) -> str:
        async with cancellations.scope(name):
            try:
                await asyncio.sleep(seconds)
            finally:
                ended.append(name)
        return name

    gone, stays = asyncio.create_task(work("gone", 30)), asyncio.create_task(work("stays", 0.05))
    await asyncio.sleep(0.01)
    cancellations.cancel("gone")
    with pytest.raises(Cancelled):
        await gone
    assert ended == ["gone"]
    assert await stays == "stays"


async def test_after_the_end_a_cancellation_changes_nothing() -> None:
    cancellations = Cancellations()
    async with cancellations.scope("r"):
        await asyncio.sleep(0)
    cancellations.cancel("r")  # no error, nobody to tell


async def test_a_cancellation_in_the_last_moment_is_one_end_not_two() -> None:
    cancellations = Cancellations()
    with pytest.raises(Cancelled):
        async with cancellations.scope("r"):
            cancellations.cancel("r")  # and the block ends without another await
    await asyncio.sleep(0)  # nothing is left that would interrupt this task


async def test_a_time_out_of_the_work_itself_is_not_taken_for_a_cancellation() -> None:
    with pytest.raises(TimeoutError):
        async with Cancellations().scope("r"):
            raise TimeoutError


def test_urgent_first_but_not_for_ever() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.normal.extend("n" * 2)
    lanes.urgent.extend("u" * 6)
    order = []
    while lanes:
        order.append(lanes.turn().popleft())
    assert order == ["u"] * URGENT_IN_A_ROW + ["n"] + ["u"] * URGENT_IN_A_ROW + ["n"]


def test_one_workloads_burst_leaves_room_for_others() -> None:
    admission = Admission(2)
    slots = [admission.take("a") for _ in range(3)]
    assert [slot is not None for slot in slots] == [True, True, False]
    assert admission.take("b")
    assert slots[0]
    slots[0].release()
    slots[0].release()  # said twice, given back once
    assert admission.take("a")
    assert admission.take("a") is None
