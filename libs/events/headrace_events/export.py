"""Export the contracts to files: topics as YAML, event types as JSON Schema with examples.

python -m headrace_events.export DIR            write
python -m headrace_events.export --check DIR    fail, naming what differs
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from headrace_events import yaml_text
from headrace_events.catalogue import EVENT_TYPES
from headrace_events.envelope import EventData
from headrace_events.topics import CATALOGUE, Topic, dlq

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TOPICS_HEADER = (
    "# Written by `headrace schemas export` from headrace_events.topics; do not edit.\n"
)
# What the export owns: files of these kinds that it does not write are left over and go away.
_OWNED = ("topics/*.yaml", "events/*.json", "events/examples/*.json")


def export(directory: Path) -> list[Path]:
    """Write all contracts under `directory`, remove left-over ones; return what was changed."""
    wanted = render()
    changed = [directory / name for name in _differences(directory, wanted)]
    for path in changed:
        text = wanted.get(path.relative_to(directory).as_posix())
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return changed


def check(directory: Path) -> list[str]:
    """Return the files, relative to `directory`, that are missing, left over or different."""
    return _differences(directory, render())


def render() -> dict[str, str]:
    """Return every file of the export by its relative path."""
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
    return files


def describe_topic(topic: Topic) -> dict[str, Any]:
    """Return what a topic's file says."""
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
        "dead_letters": {name: dlq(name) for name in topic.consumers if _has_dlq(name, topic)},
        "events": sorted(m.TYPE for m in EVENT_TYPES.values() if topic.name in m.topics()),
    }


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


def _differences(directory: Path, wanted: Mapping[str, str]) -> list[str]:
    present = {
        path.relative_to(directory).as_posix()
        for pattern in _OWNED
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
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    given = parser.parse_args(arguments)
    if not given.check:
        _say(f"wrote {path}" for path in export(given.directory))
        return 0
    different = check(given.directory)
    if different:
        _say(f"differs: {given.directory / name}" for name in different)
        _say(["The contracts changed: run `make schemas` and commit the result."])
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
