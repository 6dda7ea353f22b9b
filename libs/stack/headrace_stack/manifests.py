"""Read a workload manifest, refuse a wrong one field by field, and publish a right one."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from headrace_events import Event, InvalidEvent, parse
from headrace_events.text import fit_text
from headrace_events.topics import BY_NAME
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kafka import Consumer, give_up
from headrace_models.errors import ModelError
from headrace_models.reference import check
from headrace_stack.errors import StackError

# At this door and not in the contract: what is in the log already must go on being read.
_MOST_BYTES = 256 * 1024
_MOST_SOURCES = 100
_MOST_PROBLEMS = 20
_LONGEST_SYSTEM = 100_000
_LONGEST_PATH = 4096
_LONGEST_NAME = 200
_POLL_MS = 300
_LOOK_SECONDS = 10.0


class InvalidManifest(StackError):
    """A manifest that was refused whole; the message names each wrong field."""

    exit_code = 2


def load(path: Path) -> Manifest:
    """The manifest in `path`; relative paths of its sources are taken from the file's folder."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidManifest(
                f"{path} has more than {_MOST_BYTES} bytes: a manifest names files of rows, it "
                "does not hold them."
            )
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
    # Before the file system is asked: no file has a path like that.
    if unfit := _over_bounds(manifest):
        raise InvalidManifest(_refusal(path, unfit))
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


def _over_bounds(manifest: Manifest) -> list[str]:
    """What is longer than the rest of the way carries, or can be kept by no database."""
    spec = manifest.spec
    texts = [
        ("metadata.owner", manifest.metadata.owner, _LONGEST_NAME),
        ("spec.system", spec.system or "", _LONGEST_SYSTEM),
    ]
    for index, source in enumerate(spec.data.sources):
        place = f"spec.data.sources.{index}"
        texts.append((f"{place}.path", source.path or "", _LONGEST_PATH))
        texts.append((f"{place}.prompt", source.prompt, _LONGEST_NAME))
        texts.append((f"{place}.completion", source.completion, _LONGEST_NAME))
    found = [
        f"{place}: {len(text)} characters, at most {longest} are taken"
        for place, text, longest in texts
        if len(text) > longest
    ]
    for place, text, _ in texts:
        try:
            fit_text(text)
        except ValueError as error:
            found.append(f"{place}: {error}")
    if len(spec.data.sources) > _MOST_SOURCES:
        found.append(f"spec.data.sources: {len(spec.data.sources)}, at most {_MOST_SOURCES}")
    return found[:_MOST_PROBLEMS]


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
        fits = isinstance(path, str) and len(path) <= _LONGEST_PATH and "\x00" not in path
        if fits and path and "://" not in path:
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
    """Publish `workload.applied` on the compacted topic, keyed by the workload's name.

    Services take the newest by its time. Where an earlier one was applied by a clock that is ahead
    of this one, the event is given a time just after it: what is applied last holds.
    """
    name = manifest.metadata.name
    event = Event[WorkloadApplied].new(
        WorkloadApplied(revision=manifest.revision(), manifest=manifest),
        source="stack",
        workload=name,
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    try:
        await producer.start()
        event = await _after_the_newest(bootstrap, event)
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


async def _after_the_newest(
    bootstrap: str, event: Event[WorkloadApplied]
) -> Event[WorkloadApplied]:
    newest = None
    # Without an answer in time the event keeps its own: clocks are rarely so wrong.
    with contextlib.suppress(TimeoutError, OverflowError):
        async with asyncio.timeout(_LOOK_SECONDS):
            newest = await _newest(bootstrap, event.topic, event.workload)
        if newest is not None and newest >= event.time:
            return event.model_copy(update={"time": newest + timedelta(milliseconds=1)})
    return event


async def _newest(bootstrap: str, topic: str, name: str) -> datetime | None:
    """The latest time that a manifest of the workload has in the topic, which is a small one."""
    partitions = [TopicPartition(topic, number) for number in range(BY_NAME[topic].partitions)]
    consumer = Consumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    found = None
    try:
        await consumer.start()
        consumer.assign(partitions)
        # At once: aiokafka would be on its way to the end, and arrive there after the seek.
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while [p for p, end in ends.items() if await consumer.position(p) < end]:
            for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                times = [_time(record) for record in records if record.key == name.encode()]
                found = max(filter(None, [found, *times]), default=None)
    finally:
        await give_up(consumer)
    return found


def _time(record: "ConsumerRecord[Any, Any]") -> datetime | None:
    try:
        raw = parse(dict(record.headers), record.value)
        return raw.load(WorkloadApplied).time.astimezone(UTC)
    except (InvalidEvent, OverflowError):
        return None
