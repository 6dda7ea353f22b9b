"""Read a workload manifest, refuse a wrong one field by field, and publish a right one."""

from pathlib import Path
from typing import Any

import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from headrace_events import Event
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_models.errors import ModelError
from headrace_models.reference import check
from headrace_stack.errors import StackError


class InvalidManifest(StackError):
    """A manifest that was refused whole; the message names each wrong field."""

    exit_code = 2


def load(path: Path) -> Manifest:
    """The manifest in `path`; relative paths of its sources are taken from the file's folder."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidManifest(f"Cannot read {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidManifest(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise InvalidManifest(f"{path} holds no mapping; a manifest starts with `apiVersion:`.")
    try:
        manifest = Manifest.model_validate(_with_absolute_paths(document, path.resolve().parent))
    except ValidationError as error:
        raise InvalidManifest(_refusal(path, _problems(error))) from None
    missing = [
        f"spec.data.sources.{index}.path: no file at {source.path}"
        for index, source in enumerate(manifest.spec.data.sources)
        if source.path and "://" not in source.path and not Path(source.path).is_file()
    ]
    try:
        check(manifest.spec.base)
    except ModelError as error:
        missing.append(f"spec.base: {error}")
    if missing:
        raise InvalidManifest(_refusal(path, missing))
    return manifest


def _with_absolute_paths(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The services run in another folder than the user, and are to find the same files."""
    spec = document.get("spec")
    base = spec.get("base") if isinstance(spec, dict) else None
    if isinstance(base, str) and "/" in base and (folder / Path(base).expanduser()).is_dir():
        document["spec"]["base"] = str((folder / Path(base).expanduser()).resolve())
    data = spec.get("data") if isinstance(spec, dict) else None
    sources = data.get("sources") if isinstance(data, dict) else None
    for source in sources if isinstance(sources, list) else []:
        path = source.get("path") if isinstance(source, dict) else None
        if isinstance(path, str) and path and "://" not in path:
            source["path"] = str((folder / Path(path).expanduser()).resolve())
    return document


def _problems(error: ValidationError) -> list[str]:
    found = []
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"]) or "(the whole)"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "there is no such field"
        found.append(f"{path}: {message}")
    return found


def _refusal(path: Path, problems: list[str]) -> str:
    lines = "\n".join(f"  {problem}" for problem in problems)
    return f"{path} was refused, nothing was applied. Correct:\n{lines}"


async def publish(bootstrap: str, manifest: Manifest) -> Event[WorkloadApplied]:
    """Publish `workload.applied` on the compacted topic, keyed by the workload's name."""
    name = manifest.metadata.name
    event = Event[WorkloadApplied].new(
        WorkloadApplied(revision=manifest.revision(), manifest=manifest),
        source="stack",
        workload=name,
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    try:
        await producer.start()
        await producer.send_and_wait(
            event.topic,
            event.body(),
            key=name.encode(),
            headers=[(key, value.encode()) for key, value in event.headers().items()],
        )
    except (KafkaError, OSError) as error:
        raise StackError(
            f"Kafka at {bootstrap} did not take the manifest ({type(error).__name__}). "
            "`headrace status` shows whether it runs."
        ) from error
    finally:
        await producer.stop()
    return event
