"""Export the contracts: topics as YAML, events as JSON Schema with examples, AsyncAPI, infra.

python -m headrace_events.export DIR            write
python -m headrace_events.export --check DIR    fail, naming what differs

With --infra DIR also what a cluster needs: Strimzi topics and users, Helm values.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace_events import asyncapi, kafka_resources, yaml_text
from headrace_events.catalogue import EVENT_TYPES
from headrace_events.envelope import EventData
from headrace_events.flows import flow_of
from headrace_events.topics import CATALOGUE, Topic, dlq

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TOPICS_HEADER = (
    "# Written by `headrace schemas export` from headrace_events.topics; do not edit.\n"
)
_ASYNCAPI_HEADER = "# Written by `headrace schemas export` from headrace_events; do not edit.\n"
# What the export owns: files of these kinds that it does not write are left over and go away.
_OWNED = ("topics/*.yaml", "events/*.json", "events/examples/*.json", "asyncapi/*.yaml")
_OWNED_INFRA = ("kafka/topics.yaml", "kafka/acls.yaml", "helm/contracts.values.yaml")


def export(directory: Path, infra: Path | None = None) -> list[Path]:
    """Write all contracts under `directory`, remove left-over ones; return what was changed."""
    changed = _write(directory, render(), _OWNED)
    if infra:
        changed += _write(infra, render_infra(), _OWNED_INFRA)
    return changed


def check(directory: Path, infra: Path | None = None) -> list[Path]:
    """Return the files that are missing, left over or different."""
    different = [directory / name for name in _differences(directory, render(), _OWNED)]
    if infra:
        names = _differences(infra, render_infra(), _OWNED_INFRA)
        different += [infra / name for name in names]
    return different


def render() -> dict[str, str]:
    """Return every file of the `schemas` folder by its relative path."""
    from headrace_events.examples import all_examples

    examples = all_examples()
    files = {
        f"topics/{topic.name}.yaml": _TOPICS_HEADER + yaml_text.dump(describe_topic(topic))
        for topic in CATALOGUE
    }
    for name, model in EVENT_TYPES.items():
        files[f"events/{name}.json"] = _json(schema_of(model))
        if name in examples:
            files[f"events/examples/{name}.json"] = _json(examples[name].model_dump(mode="json"))
    for service, document in asyncapi.documents().items():
        files[f"asyncapi/{service}.yaml"] = _ASYNCAPI_HEADER + yaml_text.dump(document)
    return files


def render_infra() -> dict[str, str]:
    """Return every generated file of the `infra` folder by its relative path."""
    return kafka_resources.files([describe_topic(topic) for topic in CATALOGUE])


def describe_topic(topic: Topic) -> dict[str, Any]:
    """Return what a topic's file says."""
    models = sorted(
        (m for m in EVENT_TYPES.values() if topic.name in m.topics()), key=lambda m: m.TYPE
    )
    return {
        "topic": topic.name,
        "description": topic.description,
        "owner": topic.owner,
        "producers": list(topic.producers),
        "consumers": list(topic.consumers),
        "key": topic.key,
        "partitions": topic.partitions,
        "cleanup": topic.cleanup,
        # A compacted topic keeps the newest record of each key for ever.
        "retention_ms": topic.retention_ms if topic.cleanup == "delete" else None,
        "config": topic.configuration(),
        "dead_letters": {name: dlq(name) for name in topic.consumers if _has_dlq(name, topic)},
        "events": {m.TYPE: _flow(m) for m in models},
    }


def _flow(model: type[EventData]) -> dict[str, list[str]]:
    flow = flow_of(model)
    return {"producers": list(flow.producers), "consumers": list(flow.consumers)}


def schema_of(model: type[EventData]) -> dict[str, Any]:
    """Return an event type's JSON Schema: what a producer has to send and a consumer accepts."""
    schema = model.model_json_schema(mode="validation")
    head = {
        "$schema": DIALECT,
        "$id": f"urn:headrace:event:{model.TYPE}",
        "title": model.TYPE,
        "x-topic": model.TOPIC,
    }
    return head | {key: value for key, value in schema.items() if key not in head}


def _has_dlq(consumer: str, topic: Topic) -> bool:
    """Product services and the command line have no dead-letter topic, nor have dead letters."""
    known = {t.name for t in CATALOGUE}
    return dlq(consumer) in known and not topic.name.startswith(dlq(""))


def _write(directory: Path, wanted: Mapping[str, str], owned: Sequence[str]) -> list[Path]:
    changed = [directory / name for name in _differences(directory, wanted, owned)]
    for path in changed:
        text = wanted.get(path.relative_to(directory).as_posix())
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return changed


def _differences(directory: Path, wanted: Mapping[str, str], owned: Sequence[str]) -> list[str]:
    present = {
        path.relative_to(directory).as_posix()
        for pattern in owned
        for path in directory.glob(pattern)
    }
    return sorted(
        name
        for name in present | wanted.keys()
        if name not in wanted
        or name not in present
        or (directory / name).read_text(encoding="utf-8") != wanted[name]
    )


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _say(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m headrace_events.export", description=__doc__)
    parser.add_argument("directory", type=Path, help="the `schemas` folder")
    parser.add_argument("--infra", type=Path, help="the `infra` folder, if that too")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    given = parser.parse_args(arguments)
    if not given.check:
        _say(f"wrote {path}" for path in export(given.directory, given.infra))
        return 0
    different = check(given.directory, given.infra)
    if different:
        _say(f"differs: {path}" for path in different)
        _say(["The contracts changed: run `make schemas` and commit the result."])
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
