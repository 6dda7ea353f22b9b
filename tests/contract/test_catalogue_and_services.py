"""The topic catalogue says what the services really do, and each can read what it handles."""

import ast
import importlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from headrace_events import EventData, parse, topics
from headrace_events.catalogue import EVENT_TYPES
from headrace_events.envelope import Event
from headrace_events.export import check
from headrace_events.flows import flow_of

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "schemas" / "events" / "examples"
SERVICES = topics.BY_NAME[topics.WORKLOADS].consumers


@cache
def _handled(service: str) -> dict[str, type[EventData]]:
    """Return the event types a service really consumes, from the wired service itself."""
    package = f"headrace_{service.replace('-', '_')}"
    build: Callable[..., Any] = importlib.import_module(f"{package}.app").build
    settings = importlib.import_module(f"{package}.settings").Settings
    built = build(settings(database={"url": "sqlite+aiosqlite:///:memory:"}))
    return {model.TYPE: model for model in built.consumed}


def test_schemas_are_what_the_code_exports() -> None:
    different = check(ROOT / "schemas", ROOT / "infra")
    assert different == [], "run `make schemas` and commit the result"


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_event_type_has_a_committed_example(name: str) -> None:
    assert (EXAMPLES / f"{name}.json").is_file(), (
        f"add an example of {name} to libs/events/headrace_events/examples, then `make schemas`"
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_the_committed_example_of_each_type_it_handles(service: str) -> None:
    handled = _handled(service)
    assert "workload.applied.v1" in handled
    for name, model in handled.items():
        body = (EXAMPLES / f"{name}.json").read_bytes()
        event = Event[EventData].new(
            model.model_validate_json(body), source="contract", workload="support-intents"
        )
        # The committed bytes with real headers, as they would come from Kafka.
        loaded = parse(event.headers(), body).load(model)
        assert json.loads(loaded.body()) == json.loads(body)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_examples_of_a_newer_producer(service: str) -> None:
    """A newer producer may add fields at every level but in manifests, which are refused whole."""
    for name, model in _handled(service).items():
        if name == "workload.applied.v1":
            continue
        document = json.loads((EXAMPLES / f"{name}.json").read_text())
        model.model_validate_json(json.dumps(_with_additions(document, _open_maps(model))))


def _open_maps(model: type[EventData]) -> set[str]:
    """Return the fields that are maps of numbers: a new key there is data, not a new field."""
    return {n for n, f in model.model_fields.items() if "dict[str" in str(f.annotation)}


def _with_additions(document: Any, skip: set[str]) -> Any:
    if isinstance(document, list):
        return [_with_additions(item, skip) for item in document]
    if not isinstance(document, dict):
        return document
    grown = {
        key: value if key in skip else _with_additions(value, skip)
        for key, value in document.items()
    }
    return grown | {"added_by_a_newer_release": {"x": [1, None]}}


@pytest.mark.parametrize("service", SERVICES)
def test_the_catalogue_names_exactly_the_topics_a_service_consumes(service: str) -> None:
    declared = {t.name for t in topics.CATALOGUE if service in t.consumers}
    consumed = {topic for model in _handled(service).values() for topic in model.topics()}
    assert consumed - declared == set(), f"{service} consumes topics that do not name it"
    assert declared - consumed == set(), f"{service} is named by topics it does not consume"


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_the_flow_of_an_event_names_exactly_the_services_that_handle_it(name: str) -> None:
    """Who must roll out first is read from it, so it has to be true for each type."""
    flow = flow_of(EVENT_TYPES[name])
    handle = {service for service in SERVICES if name in _handled(service)}
    assert {c for c in flow.consumers if c in SERVICES} == handle, "libs/events: flows.py"
    topic = topics.BY_NAME[EVENT_TYPES[name].TOPIC]
    assert set(flow.producers) <= set(topic.producers)
    assert set(flow.consumers) <= set(topic.consumers)


def test_producers_in_the_catalogue_exist() -> None:
    known = {*SERVICES, "stack", "product services", topics.OPERATORS}
    for topic in topics.CATALOGUE:
        assert topic.producers, topic.name
        assert set(topic.producers) <= known, topic.name
        assert set(topic.consumers) <= known, topic.name
        assert topic.owner in known, topic.name


@pytest.mark.parametrize("service", (*SERVICES, "stack"))
def test_a_service_makes_only_events_of_topics_that_name_it_as_producer(service: str) -> None:
    """Read from the source: every event class that the package constructs."""
    folder = ROOT / ("libs/stack" if service == "stack" else f"services/{service}")
    allowed = {t.name for t in topics.CATALOGUE if service in t.producers}
    made = _constructed(folder, f"headrace_{service.replace('-', '_')}")
    wrong = {m.TYPE: m.topics() for m in made if not set(m.topics()) <= allowed}
    assert wrong == {}, f"{service} produces to topics that do not name it"
    used = {topic for model in made for topic in model.topics()}
    unused = {t for t in allowed if not t.startswith(topics.dlq(""))} - used
    # The chassis raises alerts for every service, and keeps the journal of its jobs.
    assert unused <= {topics.ALERTS, topics.JOBS}, (
        f"{service} is named by topics it never produces to"
    )


def _constructed(folder: Path, package: str) -> set[type[EventData]]:
    by_name = {model.__name__: model for model in EVENT_TYPES.values()}
    found = set()
    for path in (folder / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in by_name:
                found.add(by_name[name])
    return found
