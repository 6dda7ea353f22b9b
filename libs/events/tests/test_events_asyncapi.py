"""The AsyncAPI documents against AsyncAPI's own JSON schema, and against the catalogue."""

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from headrace_events import asyncapi
from headrace_events.catalogue import EVENT_TYPES
from headrace_events.flows import flow_of

# AsyncAPI 3.0.0 schema, npm package @asyncapi/specs 6.11.1, Apache-2.0; see asyncapi-3.0.0.md.
_SCHEMA = Path(__file__).parent / "asyncapi-3.0.0.json.gz"
DOCUMENTS = asyncapi.documents()


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(gzip.decompress(_SCHEMA.read_bytes())))


@pytest.mark.parametrize("service", DOCUMENTS)
def test_each_document_is_valid_asyncapi(service: str, validator: Any) -> None:
    validator.validate(DOCUMENTS[service])
    broken = copy.deepcopy(DOCUMENTS[service])
    next(iter(broken["operations"].values()))["action"] = "shout"
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(broken)


@pytest.mark.parametrize("service", DOCUMENTS)
def test_each_document_has_what_the_service_sends_and_receives(service: str) -> None:
    operations = DOCUMENTS[service]["operations"]
    wanted = set[str]()
    for name, model in EVENT_TYPES.items():
        lanes = ["", ".priority"] if model.FAST_TOPIC else [""]
        if service in flow_of(model).producers:
            wanted |= {f"send.{name}{lane}" for lane in lanes}
        if service in flow_of(model).consumers:
            wanted |= {f"receive.{name}{lane}" for lane in lanes}
    assert set(operations) == wanted | {"send.dead-letters"}


@pytest.mark.parametrize("service", DOCUMENTS)
def test_each_reference_leads_somewhere(service: str) -> None:
    schemas = Path(__file__).parents[3] / "schemas" / "asyncapi"

    def follow(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                follow(item)
        if not isinstance(node, dict):
            return
        target = node.get("$ref", "")
        if target.startswith("#/"):
            place: Any = DOCUMENTS[service]
            for step in target[2:].split("/"):
                place = place[step]
        elif target:
            assert (schemas / target).is_file(), target
        for value in node.values():
            follow(value)

    follow(DOCUMENTS[service])
