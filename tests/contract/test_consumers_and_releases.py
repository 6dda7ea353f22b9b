"""Every consumer of every service on every example: of this release and of the one before.

Each service is built by its own `build`, on SQLite. Its real handlers run; engines (Ray, MLflow)
and Kafka do not, so a job is written down and not worked off, and serving answers by its echo.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from headrace_events import Event, EventData, topics
from headrace_events.catalogue import EVENT_TYPES
from headrace_events.monitoring import DeadLetterWritten
from headrace_stack import releases

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
SERVICES = topics.BY_NAME[topics.WORKLOADS].consumers
BASELINE = releases.read_baseline(SCHEMAS)
FOLDERS = {"present": SCHEMAS, BASELINE.version: releases.folder_of(SCHEMAS, BASELINE.version)}
WORKLOAD = "support-intents"
MODES = ("binary", "structured", "newer")


def _examples(release: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return topic, type and payload of each example; manifests come first, as in life."""
    folder = FOLDERS[release] / "events"
    found = sorted(folder.glob("examples/*.json"), key=lambda p: not p.stem.startswith("workload"))
    for path in found:
        topic = json.loads((folder / path.name).read_text())["x-topic"]
        yield topic, path.stem, json.loads(path.read_text())


def _record(event_type: str, data: Any, mode: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body; the headers are those that release 0.1.0 sends, too."""
    # Any payload will do for the envelope: its own data is what is sent.
    model = EVENT_TYPES["alert.resolved.v1"]
    headers = (
        Event[EventData]
        .new(
            model.model_validate({"name": "x"}), source="contract", workload=WORKLOAD, subject="s-1"
        )
        .headers()
    )
    headers["ce_type"] = event_type
    if mode == "newer":
        headers["ce_addedbyanewerrelease"] = "1"
        data = _grown(data)
    if mode != "structured":
        return headers, json.dumps(data).encode()
    attributes = {name[3:]: text for name, text in headers.items() if name.startswith("ce_")}
    document = {**attributes, "datacontenttype": "application/json", "data": data}
    return {"content-type": "application/cloudevents+json; charset=UTF-8"}, json.dumps(
        document
    ).encode()


# Maps of the payloads: a key more in them is data, not a new field.
_MAPS = {"rejects", "redactions", "metrics", "payload", "result"}


def _grown(document: Any) -> Any:
    """Add a field to every object, as a newer producer might."""
    if isinstance(document, list):
        return [_grown(item) for item in document]
    if not isinstance(document, dict):
        return document
    grown = {k: v if k in _MAPS else _grown(v) for k, v in document.items()}
    return grown | {"added_by_a_newer_release": {"x": [1, None]}}


def _validator(release: str, event_type: str) -> jsonschema.Draft202012Validator | None:
    path = FOLDERS[release] / "events" / f"{event_type}.json"
    if not path.exists():
        return None
    return jsonschema.Draft202012Validator(json.loads(path.read_text()))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("release", FOLDERS)
@pytest.mark.parametrize("service", SERVICES)
async def test_every_handler_takes_every_example(
    service: str, release: str, mode: str, wired: Any
) -> None:
    async with wired(service) as under_test:
        delivered = set()
        for topic, event_type, data in _examples(release):
            await under_test.deliver(topic, *_record(event_type, data, mode))
            delivered.add(event_type)
            refused = (under_test.dead, under_test.passed_over)
            assert refused == ([], 0), f"{service} cannot handle {event_type} of {release}"
        assert "workload.applied.v1" in under_test.handled & delivered
        sent = await under_test.emitted()
    for event_type, data in sent:
        for to in FOLDERS:
            # What this release sends, the consumers of both can read.
            if validator := _validator(to, event_type):
                validator.validate(data)
    if service in ("guardrails", "serving"):
        assert sent, "the hot path answers"


@pytest.mark.parametrize("service", SERVICES)
async def test_a_payload_that_lacks_a_required_field_is_dead_lettered(
    service: str, wired: Any
) -> None:
    """The test above can fail: each handled type is taken only if it is whole."""
    async with wired(service) as under_test:
        wanted = 0
        for topic, event_type, data in _examples("present"):
            required = EVENT_TYPES[event_type].model_json_schema().get("required", [])
            if event_type not in under_test.dead_lettered or not required:
                continue
            del data[required[0]]
            await under_test.deliver(topic, *_record(event_type, data, "binary"))
            wanted += 1
            assert len(under_test.dead) >= wanted, event_type
            _, headers = under_test.dead[-1]
            assert headers["headrace_dlq_error"] == b"InvalidEvent"
        assert wanted
        assert {type_ for type_, _ in await under_test.emitted()} == {DeadLetterWritten.TYPE}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "broken",
    [
        {"ce_specversion": ""},
        {"ce_time": "lunchtime"},
        {"ce_my.extension": "bad"},
        {"content-type": "application/cloudevents+avro"},
        {"content-type": "text/plain"},
    ],
    ids=lambda broken: "-".join(broken.values()) or "no-specversion",
)
async def test_an_invalid_cloudevent_goes_to_the_dead_letters(
    service: str, broken: dict[str, str], wired: Any
) -> None:
    async with wired(service) as under_test:
        for topic, event_type, data in _examples("present"):
            if event_type not in under_test.dead_lettered:
                continue
            headers, body = _record(event_type, data, "binary")
            before = len(under_test.dead)
            await under_test.deliver(topic, headers | broken, body)
            assert len(under_test.dead) > before, event_type
        # Nothing comes of them but the word that they lie there.
        assert {type_ for type_, _ in await under_test.emitted()} <= {DeadLetterWritten.TYPE}


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_examples_of_this_release_fit_the_schemas_of_the_one_before(event_type: str) -> None:
    """What a consumer of the release before is promised."""
    before = _validator(BASELINE.version, event_type)
    if before is None:
        pytest.skip("new in this release")
    before.validate(json.loads((SCHEMAS / f"events/examples/{event_type}.json").read_text()))


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_examples_of_the_release_before_fit_the_schemas_of_this_one(event_type: str) -> None:
    example = FOLDERS[BASELINE.version] / f"events/examples/{event_type}.json"
    if not example.exists():
        pytest.skip("new in this release")
    now = _validator("present", event_type)
    assert now
    now.validate(json.loads(example.read_text()))
