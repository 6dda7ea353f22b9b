"""Catalogue and export: consistent in themselves, and `--check` catches every kind of drift."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from headrace_events import topics, yaml_text
from headrace_events.catalogue import EVENT_TYPES
from headrace_events.envelope import EventData
from headrace_events.examples import all_examples
from headrace_events.export import check, describe_topic, export, main, render_infra


def _subclasses(model: type[EventData]) -> list[type[EventData]]:
    return [m for child in model.__subclasses__() for m in (child, *_subclasses(child))]


def test_every_event_type_is_in_the_catalogue_once() -> None:
    ours = [m for m in _subclasses(EventData) if m.__module__.startswith("headrace_events.")]
    types = [m.TYPE for m in ours]
    assert len(types) == len(set(types))
    assert set(types) == set(EVENT_TYPES)


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_each_type_has_a_name_with_version_a_topic_and_a_description(name: str) -> None:
    model = EVENT_TYPES[name]
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+\.v[1-9]\d*", name)
    assert set(model.topics()) <= set(topics.BY_NAME)
    assert model.__doc__


def test_topics_are_unique_and_services_have_dead_letter_topics() -> None:
    names = [t.name for t in topics.CATALOGUE]
    assert len(names) == len(set(names))
    services = topics.BY_NAME[topics.WORKLOADS].consumers
    assert len(services) == 8
    for service in services:
        assert topics.BY_NAME[topics.dlq(service)].owner == service


def test_no_topic_but_the_dead_letters_is_without_events() -> None:
    used = {name for m in EVENT_TYPES.values() for name in m.topics()}
    unused = {t.name for t in topics.CATALOGUE} - used
    assert unused == {topics.dlq(s) for s in topics.BY_NAME[topics.WORKLOADS].consumers}


def test_every_type_has_an_example_that_fits_its_schema(tmp_path: Path) -> None:
    export(tmp_path)
    for name in EVENT_TYPES:
        schema = json.loads((tmp_path / f"events/{name}.json").read_text())
        example = json.loads((tmp_path / f"events/examples/{name}.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(example)
        # The validator is not asleep: the same document without its fields is refused.
        if schema.get("required"):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.Draft202012Validator(schema).validate({})


def test_topic_files_read_back_as_what_was_meant(tmp_path: Path) -> None:
    export(tmp_path)
    for topic in topics.CATALOGUE:
        read = yaml.safe_load((tmp_path / f"topics/{topic.name}.yaml").read_text())
        assert read == describe_topic(topic)


def test_yaml_lists_of_maps_read_back() -> None:
    document = {"a": [{"b": 1, "c": {"d": ["e: f", {}]}}, "g", {"h": [{"i": None}]}], "j": {}}
    assert yaml.safe_load(yaml_text.dump(document)) == document


@pytest.mark.parametrize(
    "text", ["", "no", "Yes", "null", "1", "1.5", "a: b", "# a", "a # b", "- a", "é\n", "a ", "{}"]
)
def test_yaml_text_survives_what_yaml_would_misread(text: str) -> None:
    document = {"text": text, "list": [text, 1, None, True], "map": {text or "k": {}}, "empty": []}
    assert yaml.safe_load(yaml_text.dump(document)) == document


def test_export_is_stable_and_removes_what_is_left_over(tmp_path: Path) -> None:
    assert export(tmp_path)
    assert export(tmp_path) == []
    stale = tmp_path / "events" / "gone.away.v1.json"
    stale.write_text("{}")
    (tmp_path / "events" / "README.md").write_text("kept")
    assert export(tmp_path) == [stale]
    assert not stale.exists()
    assert (tmp_path / "events" / "README.md").exists()


def test_check_names_changed_missing_and_left_over_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path)
    assert main(["--check", str(tmp_path)]) == 0
    changed = tmp_path / "events" / "feedback.given.v1.json"
    changed.write_text(changed.read_text().replace('"rating"', '"stars"'))
    (tmp_path / "topics" / "headrace.feedback.yaml").unlink()
    (tmp_path / "events" / "examples" / "gone.away.v1.json").write_text("{}")
    expected = [
        "events/examples/gone.away.v1.json",
        "events/feedback.given.v1.json",
        "topics/headrace.feedback.yaml",
    ]
    assert check(tmp_path) == [tmp_path / name for name in expected]
    capsys.readouterr()
    assert main(["--check", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert all(name in said for name in expected)
    assert "make schemas" in said


def test_the_command_line_runs_without_anything_but_pydantic(tmp_path: Path) -> None:
    code = (
        "import sys; from headrace_events.export import main; "
        f"assert main([{str(tmp_path)!r}]) == 0; "
        "print(sorted({'yaml', 'jsonschema', 'aiokafka', 'fastapi'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_every_example_is_of_its_own_model() -> None:
    for name, example in all_examples().items():
        assert type(example) is EVENT_TYPES[name]
        assert type(example).model_validate_json(example.model_dump_json()) == example


def test_two_replicas_hold_what_is_acknowledged_where_there_are_three() -> None:
    for topic in topics.CATALOGUE:
        # With one, the leader alone may acknowledge and then be lost with all it acknowledged.
        assert topic.configuration(3)["min.insync.replicas"] == "2", topic.name
        assert topic.configuration(1)["min.insync.replicas"] == "1", topic.name
        assert describe_topic(topic)["config"]["min.insync.replicas"] == "2"
    rendered = render_infra()
    for document in yaml.safe_load_all(rendered["kafka/topics.yaml"]):
        assert document["spec"]["replicas"] == 3
        assert document["spec"]["config"]["min.insync.replicas"] == "2"
    values = yaml.safe_load(rendered["helm/contracts.values.yaml"])
    for topic in values["kafka"]["topics"].values():
        assert (topic["replicas"], topic["config"]["min.insync.replicas"]) == (3, "2")
