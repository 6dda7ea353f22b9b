"""A promotion or rollback that is replayed late moves no route back."""

from datetime import timedelta
from pathlib import Path

from headrace_events import Event
from headrace_events.models import ModelPromoted, ModelRolledBack
from headrace_events.references import ArtefactRef, ModelRef
from headrace_serving.adapters.routes import RouteCache
from headrace_serving.app import build
from headrace_serving.settings import Settings

BASE = "smollm2-135m-instruct"


def model(version: str) -> ModelRef:
    if version == "base":
        return ModelRef(name="support", version="base", base=BASE)
    artefact = ArtefactRef(uri=f"file:///artefacts/{version}", digest="a" * 64, size_bytes=9)
    return ModelRef(name="support", version=version, base=BASE, artefact=artefact)


async def test_an_older_decision_that_comes_late_is_none(tmp_path: Path) -> None:
    service = build(
        Settings(
            database={"url": f"sqlite+aiosqlite:///{tmp_path}/serving.db"},
            serving={"engine": "echo"},
        )
    )
    await service.database.create()
    cache = RouteCache(service.database)

    async def hear(*events: Event) -> str:
        for event in events:
            await service.replayable.control.replay(event)
        await cache.refresh()
        production = cache.get("support").production
        return production.version if production else "base"

    def decided(data: ModelPromoted | ModelRolledBack, minute: int) -> Event:
        event: Event = Event.new(data, source="registry", workload="support")
        return event.model_copy(update={"time": event.time + timedelta(minutes=minute)})

    first = decided(ModelPromoted(model=model("1"), previous=model("base")), 1)
    second = decided(ModelPromoted(model=model("2"), previous=model("1")), 2)
    back = decided(ModelRolledBack(model=model("2"), restored=model("1"), reason="slow"), 3)
    late = decided(ModelRolledBack(model=model("1"), restored=model("base"), reason="slow"), 0)
    assert await hear(first, second) == "2"
    assert await hear(decided(first.data, 1), late) == "2"
    assert await hear(back) == "1"
    assert await hear(decided(second.data, 2)) == "1"
    await service.database.close()
