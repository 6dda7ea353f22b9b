"""What the soak counts as a failure: each rule finds what it is there for."""

from collections import defaultdict

import pytest

from headrace_bench.soak.hostile_http import attacks
from headrace_bench.soak.plan import SHORT, Plan
from headrace_bench.soak.watch import Watched, growth

HOUR = 3600


def watched(sizes: list[float]) -> Watched:
    seen = Watched(memory=defaultdict(list))
    step = HOUR / len(sizes)
    seen.memory["serving"] = [(step * number, size) for number, size in enumerate(sizes)]
    return seen


def test_memory_that_breathes_is_flat() -> None:
    (one,) = growth(watched([200, 212, 198, 205, 220, 199] * 10), since=0)
    assert one.flat


def test_memory_that_grows_slowly_is_not() -> None:
    (one,) = growth(watched([200 + number for number in range(60)]), since=0)
    assert not one.flat
    assert one.per_hour == pytest.approx(60, rel=0.05)


def test_what_was_before_the_last_kill_does_not_count() -> None:
    sizes = [500.0] * 30 + [200.0] * 30
    (one,) = growth(watched(sizes), since=HOUR / 2)
    assert (one.first, one.last) == (200, 200)


@pytest.mark.parametrize("plan", [Plan(), SHORT])
def test_each_service_is_killed_so_often_and_in_the_first_half(plan: Plan) -> None:
    kills = plan.kills()
    names = [name for _, name in kills]
    assert {names.count(name) for name in names} == {plan.kills_each}
    assert len(set(names)) == 8
    assert max(at for at, _ in kills) < plan.kills_end


def test_attacks_have_names_of_their_own_and_end_their_head() -> None:
    found = attacks("127.0.0.1:1234")
    names = [attack.name for attack in found]
    assert len(names) == len(set(names))
    whole = [a for a in found if not a.cut]
    assert all(b"\r\n\r\n" in attack.data for attack in whole)
