"""Requests whose caller names the version: over HTTP and over Kafka, answered by it or refused."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace_events import Event, EventData
from headrace_events.inference import (
    InferenceAdmitted,
    InferenceCompleted,
    InferenceGenerated,
    InferenceRejected,
    InferenceRequested,
    Message,
)
from headrace_events.models import (
    ModelPromoted,
    ModelRegistered,
    ModelRejected,
    ModelRetired,
    ModelRolledBack,
)
from headrace_events.references import ArtefactRef, DatasetRef, ModelRef, TableRef
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Service
from headrace_serving import app
from headrace_serving.core.batching import Batcher
from headrace_serving.core.cancellation import Cancellations
from headrace_serving.core.ending import Unanswered
from headrace_serving.core.generation import AdapterRefused
from headrace_serving.core.pinning import Known, pin, split
from headrace_serving.core.routing import Canary, Route
from headrace_serving.generating import Generator
from headrace_serving.inference import AdmittedHandler
from headrace_serving.settings import Settings

NAME = "support"
START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
MANIFEST = Manifest.model_validate(
    {"apiVersion": "headrace/v1", "kind": "Workload", "metadata": {"name": NAME}}
)
DATASET = DatasetRef(
    version=1, table=TableRef(uri="file:///t", version=1), digest="d", train_rows=9, holdout_rows=1
)


def model(version: str) -> ModelRef:
    if version == "base":
        return ModelRef(name=NAME, version="base", base=MANIFEST.spec.base)
    artefact = ArtefactRef(uri=f"file:///{version}", digest=version * 64, size_bytes=9)
    return ModelRef(name=NAME, version=version, base=MANIFEST.spec.base, artefact=artefact)


def registered(version: str) -> ModelRegistered:
    return ModelRegistered(
        model=model(version), incumbent=model("base"), dataset=DATASET, run_id="r", metrics={}
    )


HISTORY: tuple[EventData, ...] = (
    WorkloadApplied(revision=MANIFEST.revision(), manifest=MANIFEST),
    registered("1"),
    ModelPromoted(model=model("1"), previous=model("base")),
    registered("2"),
    ModelPromoted(model=model("2"), previous=model("1")),
    registered("3"),
    ModelRejected(model=model("3"), reason="exact_match fell by 0.2"),
    registered("4"),
    ModelRetired(model=model("4"), reason="answers with an old price list"),
)


class Guard:
    """Lets everything through."""

    def __init__(self, *_: Any) -> None:
        pass

    async def input(self, _w: str, _id: str, messages: Any, _trace: str) -> Any:
        return Verdict(messages=messages)

    async def output(self, _w: str, _id: str, text: str, _trace: str, *, final: bool = True) -> Any:
        return Verdict(text=text)

    async def close(self) -> None:
        pass


class Verdict:
    action, detail = "pass", ""

    def __init__(self, messages: Any = None, text: str | None = None) -> None:
        self.messages, self.text = messages, text


class Serving:
    """The service in this process, with an echo in place of a model."""

    def __init__(self, service: Service, told: list[Event[Any]]) -> None:
        self.service = service
        self.told = told
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=service.api), base_url="http://127.0.0.1"
        )

    async def hear(self, *facts: EventData) -> None:
        for number, fact in enumerate(facts):
            event: Event[Any] = Event.new(fact, source="registry", workload=NAME)
            at = START + timedelta(minutes=number)
            await self.service.replayable.control.replay(event.model_copy(update={"time": at}))

    async def ask(self, name: str, **more: Any) -> Any:
        body = {"model": name, "messages": [{"role": "user", "content": "hello there"}], **more}
        return await self.http.post("/v1/chat/completions", json=body)


@pytest.fixture
async def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serving]:
    told: list[Event[Any]] = []

    async def publish(_self: Service, event: Event[Any]) -> None:
        told.append(event)

    monkeypatch.setattr(app, "GuardClient", Guard)
    monkeypatch.setattr(Service, "publish", publish)
    url = f"sqlite+aiosqlite:///{tmp_path}/serving.db"
    service = app.build(Settings(database={"url": url}, serving={"engine": "echo"}))
    await service.database.create()
    found = Serving(service, told)
    await found.hear(*HISTORY)
    yield found
    await found.http.aclose()
    await service.database.close()


@pytest.mark.parametrize(
    ("version", "arm"), [("1", "production"), ("2", "production"), ("base", "base")]
)
async def test_a_pinned_request_is_answered_by_its_version_and_marked(
    serving: Serving, version: str, arm: str
) -> None:
    answer = await serving.ask(f"{NAME}@{version}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-headrace-model-version"] == version
    assert answer.headers["x-headrace-arm"] == "pinned"
    outcome = serving.told[-1].data
    assert isinstance(outcome, InferenceCompleted)
    assert (outcome.pinned, outcome.model_version, outcome.arm) == (True, version, arm)


async def test_a_pinned_stream_is_marked_too(serving: Serving) -> None:
    answer = await serving.ask(f"{NAME}@1", stream=True)
    assert "hello" in answer.text
    assert answer.headers["x-headrace-model-version"] == "1"
    assert serving.told[-1].data.pinned


async def test_who_names_no_version_gets_the_route_s(serving: Serving) -> None:
    answer = await serving.ask(NAME)
    assert answer.headers["x-headrace-arm"] != "pinned"
    assert serving.told[-1].data.pinned is False


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("17", "there is no version 17 of support; it can be asked: support@2, support@1, supp"),
        ("3", "version 3 was rejected (exact_match fell by 0.2)"),
        ("4", "version 4 was retired (answers with an old price list)"),
        ("", "there is no such version"),
        ("my secret\x00 words", "there is no such version"),
    ],
)
async def test_a_version_that_may_not_be_served_is_refused_and_the_caller_s_fault(
    serving: Serving, version: str, why: str
) -> None:
    answer = await serving.ask(f"{NAME}@{version}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert why in error["message"]
    assert "secret" not in error["message"]
    outcome = serving.told[-1].data
    assert isinstance(outcome, InferenceRejected)
    assert (outcome.fault, outcome.pinned, outcome.model_version) == ("caller", True, None)


async def test_models_are_listed_with_their_versions_and_their_age(serving: Serving) -> None:
    (card,) = (await serving.http.get("/v1/models")).json()["data"]
    assert card["created"] == int(START.timestamp())
    assert card["version"] == "base"  # the routes in memory are not refreshed in this test
    assert card["versions"] == ["support@2", "support@1", "support@base"]
    listed = (await serving.http.get("/v1/models?versions=true")).json()["data"]
    assert [one["id"] for one in listed] == ["support", *card["versions"]]
    one = (await serving.http.get("/v1/models/support@2")).json()
    assert one["created"] == int((START + timedelta(minutes=3)).timestamp())
    refused = await serving.http.get("/v1/models/support@3")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")


async def test_an_event_that_comes_late_brings_no_version_back(serving: Serving) -> None:
    late = Event[Any].new(registered("3"), source="registry", workload=NAME)
    await serving.service.replayable.control.replay(late.model_copy(update={"time": START}))
    assert (await serving.ask(f"{NAME}@3")).status_code == 404


async def test_a_version_that_was_rolled_back_may_be_asked(serving: Serving) -> None:
    await serving.hear(ModelRolledBack(model=model("2"), restored=model("1"), reason="slow"))
    assert (await serving.ask(f"{NAME}@2")).status_code == 200


class Engine:
    """Says which adapter answered; refuses the one of version 2."""

    async def load(self, base: str, adapter: Any) -> None:
        pass

    async def generate(self, base: str, adapter: Any, batch: Any) -> AsyncIterator[Any]:
        from headrace_serving.core.generation import Piece

        if adapter and adapter.version == "2":
            raise AdapterRefused("its artefact is gone")
        said = adapter.version if adapter else "base"
        yield [Piece(row, said, 1, 1, "stop") for row in range(len(batch))]


async def over_kafka(version: str | None) -> Any:
    route = Route(NAME, production=model("1"))
    known = [Known(model(v), "known", "", START) for v in ("1", "2")]
    told: list[Event[Any]] = []

    async def publish(event: Event[Any]) -> None:
        told.append(event)

    async def pinned(_workload: str, wanted: str, base: str) -> Any:
        return pin(wanted, known, route, base)

    generator = Generator(Batcher(Engine(), max_batch=4, max_waiting=8), lambda _: route)
    handler = AdmittedHandler(generator, Cancellations(), lambda _: MANIFEST, publish, 1.0, pinned)
    asked = InferenceRequested(
        request_id="r", messages=(Message(role="user", content="hi"),), version=version
    )
    admitted = InferenceAdmitted(request=asked, received_at=0.0)
    await handler([Event[Any].new(admitted, source="test", workload=NAME, subject="r")])
    return told[-1].data


async def test_over_kafka_the_version_answers() -> None:
    for version, said in ((None, "1"), ("1", "1"), ("base", "base")):
        fact = await over_kafka(version)
        assert isinstance(fact, InferenceGenerated)
        assert (fact.text, fact.model_version, fact.request.version) == (said, said, version)


@pytest.mark.parametrize(
    ("version", "why"), [("9", "no version 9"), ("2", "version 2 of support cannot be served: its")]
)
async def test_over_kafka_one_that_cannot_is_rejected_at_once(version: str, why: str) -> None:
    fact = await over_kafka(version)
    assert isinstance(fact, InferenceRejected)
    assert (fact.reason, fact.fault, fact.pinned) == ("invalid_request", "caller", True)
    assert why in fact.detail


def test_names_and_versions() -> None:
    assert split("support") == ("support", None)
    assert split("support@2") == ("support", "2")
    assert split("support@") == ("support", "")
    canary = Canary("r", model("2"), model("1"), (5,), 0, 5, "running")
    route = Route(NAME, production=model("1"), canary=canary)
    # A database of an older release knows only the route.
    assert pin("2", (), route, "smol").arm == "canary"
    assert pin("1", (), route, "smol").arm == "production"
    assert pin("base", (), route, "smol").arm == "base"
    with pytest.raises(Unanswered, match="support@2, support@1, support@base"):
        pin("3", (), route, "smol")
