"""`headrace dlq`: found by filters, shown without text of users, sent back once, written down."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from headrace_events import Event, new_id, topics
from headrace_events.data import RecordsRejected
from headrace_kit import Service
from headrace_stack.cli import app
from headrace_stack.commands_dlq import moment, shape
from headrace_stack.dead_letters import Choice, DeadLetter, replay, restored
from headrace_stack.errors import StackError

SECRET = "my card is 4111 1111"


def letter(**fields: Any) -> DeadLetter:
    defaults: dict[str, Any] = {
        "service": "ingest",
        "partition": 0,
        "offset": 17,
        "topic": topics.FEEDBACK,
        "origin": f"{topics.FEEDBACK}/2/31",
        "error": "InvalidEvent",
        "attempts": 1,
        "at": datetime(2026, 11, 24, 8, tzinfo=UTC),
        "event_id": "e1",
        "event_type": "feedback.given.v1",
        "workload": "w",
        "key": b"k",
        "value": b"{}",
        "headers": (),
    }
    return DeadLetter(**{**defaults, **fields})


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), True),
        (Choice(topic=topics.FEEDBACK), True),
        (Choice(topic=topics.RECORDS), False),
        (Choice(error="InvalidEvent"), True),
        (Choice(error="Invalid"), False),
        (Choice(type="feedback"), True),
        (Choice(type="feedback.given.v1"), True),
        (Choice(type="feed"), False),
        (Choice(workload="w"), True),
        (Choice(workload="v"), False),
        (Choice(since=datetime(2026, 11, 24, 8, tzinfo=UTC)), True),
        (Choice(until=datetime(2026, 11, 24, 8, tzinfo=UTC)), False),
        (Choice(ids=("ingest/0/17",)), True),
        (Choice(ids=("e1", "e2")), True),
        (Choice(ids=("ingest/0/1",)), False),
    ],
)
def test_every_filter_counts(choice: Choice, taken: bool) -> None:
    assert choice.takes(letter()) is taken


def test_an_unknown_service_is_named_with_those_that_are_known() -> None:
    with pytest.raises(StackError, match=r"ingset.*ingest, data-quality"):
        Choice(service="ingset").services()


def test_moments() -> None:
    assert moment(None) is None
    ago = moment("2h")
    assert ago and abs((datetime.now(UTC) - ago) - timedelta(hours=2)) < timedelta(seconds=5)
    assert moment("2026-11-24T08:00+00:00") == datetime(2026, 11, 24, 8, tzinfo=UTC)
    with pytest.raises(StackError, match="yesterday"):
        moment("yesterday")


def test_a_shape_says_nothing_that_was_said() -> None:
    masked = shape({"text": SECRET, "n": 3, "many": [SECRET] * 5, "none": None})
    assert SECRET not in json.dumps(masked)
    assert masked["text"] == f"<{len(SECRET)} characters>"
    assert masked["n"] == "<int>" and masked["none"] is None


def test_replay_without_a_choice_is_refused() -> None:
    result = CliRunner().invoke(app, ["dlq", "replay"])
    assert isinstance(result.exception, StackError) and "--all" in str(result.exception)


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        for _ in iter(int, 1):
            if condition():
                return
            await asyncio.sleep(0.05)


@pytest.mark.integration
async def test_dead_letters_are_listed_shown_and_sent_back_once(
    kafka: str,
    settings_for: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / ".headrace"))
    monkeypatch.setenv("COLUMNS", "200")
    workload, healed, seen = f"dlq-{new_id()}", [False], []

    async def handler(event: Event[Any], _uow: object) -> None:
        if event.workload == workload:
            if not healed[0]:
                raise LookupError(SECRET)
            seen.append((event.id, event.data.reason))

    async def headrace(*arguments: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["dlq", *arguments])
        assert result.exit_code == 0, result.output + repr(result.exception)
        return str(result.stdout)

    async def listed(*arguments: str) -> list[dict[str, Any]]:
        found = await headrace("list", "--workload", workload, "--json", *arguments)
        # The runner's stdout is the process', and the service in it logs there too.
        return [json.loads(line) for line in found.splitlines() if line.startswith("{")]

    service = Service("data-quality", settings_for())
    service.on(RecordsRejected, handler)
    events = [
        Event.new(
            RecordsRejected(source="s", reason=f"{SECRET} {n}"), source="t", workload=workload
        )
        for n in range(3)
    ]
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    async with service.running():
        for event in events:
            headers = [(k, v.encode()) for k, v in event.headers().items()]
            await producer.send_and_wait(event.topic, event.body(), b"the key", headers=headers)
        letters: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while len(letters) < len(events):
                letters = await listed()
        assert [one["event_id"] for one in letters] == [event.id for event in events]
        assert {one["error"] for one in letters} == {"LookupError"}
        assert {one["attempts"] for one in letters} == {3}
        assert letters[0]["origin"].startswith(f"{topics.RECORDS}/0/")
        assert len(await listed("--service", "ingest")) == 0
        assert len(await listed("--since", "1h", "--error", "LookupError")) == len(events)

        name = letters[0]["name"]
        masked = await headrace("show", name)
        assert SECRET not in masked and "characters" in masked and events[0].id in masked
        assert SECRET in await headrace("show", name, "--payload")

        healed[0] = True
        dry = await headrace("replay", "--workload", workload, "--dry-run")
        assert "3 of 3 would be sent back" in dry and not seen
        one = await headrace("replay", "--id", name, "--by", "anna", "--reason", "healed")
        assert "1 of 1 sent back" in one
        await _until(lambda: seen)
        rest = await headrace("replay", "--workload", workload, "--by", "anna")
        assert "2 of 3 sent back; 1 were replayed before" in rest
        await _until(lambda: len(seen) == len(events))
        assert [event_id for event_id, _ in seen] == [event.id for event in events]
        assert "0 of 3 sent back" in await headrace("replay", "--workload", workload)
        assert len(await listed("--open")) == 0
        replays = [one["replays"] for one in await listed()]
        assert [len(one) for one in replays] == [1, 1, 1]
        assert replays[0][0]["operator"] == "anna" and replays[0][0]["reason"] == "healed"

        # Again: the record is sent, the inbox knows its id.
        assert "1 of 1 sent back" in await headrace("replay", "--id", name, "--again")
        marker = Event.new(RecordsRejected(source="s", reason="m"), source="t", workload=workload)
        headers = [(k, v.encode()) for k, v in marker.headers().items()]
        await producer.send_and_wait(marker.topic, marker.body(), b"the key", headers=headers)
        await _until(lambda: seen[-1][0] == marker.id)
        assert len(seen) == len(events) + 1
    await producer.stop()


@pytest.mark.integration
async def test_a_letter_without_its_value_is_shown_as_such_and_sent_back_from_its_origin(
    kafka: str,
    settings_for: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / ".headrace"))
    monkeypatch.setenv("COLUMNS", "200")
    workload, healed, seen = f"dlq-{new_id()}", [False], []

    async def handler(event: Event[Any], _uow: object) -> None:
        if event.workload == workload:
            if not healed[0]:
                raise LookupError
            seen.append(len(event.data.reason))

    async def headrace(*arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["dlq", *arguments])

    service = Service("data-quality", settings_for())
    service.on(RecordsRejected, handler)
    large: Event[Any] = Event.new(
        RecordsRejected(source="s", reason="x" * 3_000_000), source="t", workload=workload
    )
    async with (
        AIOKafkaProducer(
            bootstrap_servers=kafka, compression_type="gzip", max_request_size=8_000_000
        ) as producer,
        service.running(),
    ):
        headers = [(k, v.encode()) for k, v in large.headers().items()]
        await producer.send_and_wait(large.topic, large.body(), b"the key", headers=headers)
        letters: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while not letters:
                found = (await headrace("list", "--workload", workload, "--json")).stdout
                letters = [json.loads(line) for line in found.splitlines() if line[:1] == "{"]
        (one,) = letters
        assert (one["omitted"], one["bytes"]) == ("value", len(large.body()))
        shown = (await headrace("show", one["name"], "--payload")).stdout
        assert f"omitted: {one['bytes']} bytes, sha256 " in shown
        assert "(omitted)" in (await headrace("list", "--workload", workload)).stdout
        healed[0] = True
        sent = await headrace("replay", "--id", one["name"])
        assert "1 of 1 sent back" in sent.stdout, repr(sent.exception)
        await _until(lambda: seen)
    assert seen == [3_000_000]


@pytest.mark.integration
async def test_what_its_origin_does_not_hold_any_more_is_refused(kafka: str) -> None:
    gone = letter(omitted="value", value_sha256="0" * 64, value=None)
    with pytest.raises(StackError, match=r"ingest/0/17.*cannot be read any more"):
        await restored(kafka, gone)
    unreadable = letter(omitted="value", value=None)
    with pytest.raises(StackError, match="has to send it again"):
        await restored(kafka, unreadable)


@pytest.mark.integration
async def test_an_older_manifest_is_not_put_behind_a_newer_one_of_its_key(kafka: str) -> None:
    """Compaction would keep the older one, and a service that starts anew would take it."""
    topic, key, another = topics.WORKLOADS, new_id().encode(), new_id().encode()

    def of(sent: Any, key: bytes) -> DeadLetter:
        return letter(topic=topic, origin=f"{topic}/{sent.partition}/{sent.offset}", key=key)

    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        older = await producer.send_and_wait(topic, b"1", key)
        # Of another key: it is no reason.
        other = await producer.send_and_wait(topic, b"2", another, partition=older.partition)
        await producer.send_and_wait(topic, b"3", key)
        letters = [of(older, key), of(other, another)]
        sent = replay(kafka, letters, operator="anna", reason="")
        first, second = [replay_id async for _, replay_id in sent]
    assert first is None and second is not None
