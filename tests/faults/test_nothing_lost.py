"""The short form of the fault suite: ten kills of real services on the real stack, under load."""

from pathlib import Path

import pytest

from headrace_bench.faults import kills

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


async def test_ten_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    row = await kills.run(tmp_path / "stack", kills.SHORT, lambda _what, _share: None)
    assert row.faults == kills.SHORT.kills
    assert row.events >= kills.SHORT.events
    # Every kind of effect was counted: a load that leads to nothing proves nothing.
    uncounted = {count.effect for count in row.counts if not count.expected}
    assert uncounted <= {"dataset curated → training failed", "liked or corrected → raw row"}
    assert row.passed, row.explain()
