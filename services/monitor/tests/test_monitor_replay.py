"""The monitor's state made again from the log is what it was, down to the audit chain."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace_events import Event
from headrace_kit import Service
from headrace_kit.testing_replay import Life, rows_in
from headrace_monitor.adapters.tables import Base
from headrace_monitor.app import build
from headrace_monitor.settings import Settings

_WATCHES = ("audit ledger", "canary watch", "drift watch", "objectives")


def make(url: str) -> Service:
    return build(Settings(database={"url": url}))


async def watch(life: Life) -> None:
    """Let each timer that decides something look once."""
    for name in _WATCHES:
        await life.service._periodic[name].tick()
    await life.publish()
    await life.service._periodic["audit ledger"].tick()


async def test_replay_makes_the_same_monitor(
    database_url: str, tmp_path: Path, make_story: Callable[..., Any]
) -> None:
    life = Life(make(database_url), Base.metadata)
    await life.service.database.create()
    story = make_story(
        "support",
        serve={"canary": {"steps": [20, 50], "min_requests": 20}},
        monitor={"drift": {"window": 30}, "slo": {"p95_ms": 5000}},
    )
    story.send = life.give_event

    async def asked(
        version: str, arm: str, count: int, failed: int = 0, **more: Any
    ) -> list[Event[Any]]:
        events = [story.completed(version, arm, **more) for _ in range(count)]
        for event in (*events, *(story.failed(version, arm) for _ in range(failed))):
            await life.give_event(event)
        await watch(life)
        return events

    await story.applied()
    await story.curated(1)
    await story.trained(1, steps=20)
    await story.evaluated("1", "base", 0.2)
    await asked("base", "base", 70)  # a reference, a window and some
    rollout = await story.canary("1", "base")
    await asked("base", "base", 25, latency_ms=600.0)
    answered = await asked("1", "canary", 4, failed=20, latency_ms=400.0)
    for event, rating in zip(answered[:3], (1, -1, 1), strict=True):
        await story.rated(event.data.request_id, rating)
    await story.rated("not-yet-known", 1)
    await story.stepped("1", 1)
    await asked("1", "canary", 4, failed=20, latency_ms=400.0)
    await asked("base", "base", 25, latency_ms=600.0)
    await story.finished("1", "base")  # promoted: drift begins anew
    await asked("1", "production", 35)
    odd = ["Wikipedia", "zebra", "quartz", "volcano"]
    await asked("1", "production", 35, words=odd)  # drifts
    await asked("1", "production", 30, words=odd, latency_ms=90_000.0)  # misses the objective
    await story.tripped("pii", "redact", ("email",))
    await story.tripped("injection", "block")
    await watch(life)

    before = await life.dump()
    judged = [row["judged_step"] for row in before["rollouts"]]
    assert judged == [1] and before["rollouts"][0]["rollout_id"] == rollout
    assert before["drift"][0]["drifted"] is True
    assert any(row["name"].startswith("slo/") for row in before["alerts"])
    assert min(rows_in(before, "outcomes", "ratings", "trips", "audit", "kit_inbox")) > 0
    published = len(life.log)

    after, report, fresh = await life.replayed(lambda: make(f"sqlite+aiosqlite:///{tmp_path}/r.db"))
    for table in before:
        assert after[table] == before[table], table
    assert (report.failed, report.unpublished, report.open_jobs) == ([], 0, 0)
    assert len(after["audit"]) == sum(row["position"] is not None for row in after["audit"])
    rest = Life(fresh, Base.metadata)
    await rest.publish()
    assert rest.log == [] and len(life.log) == published, "a replay publishes nothing"
    await fresh.database.close()
    await life.service.database.close()
