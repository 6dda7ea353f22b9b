"""How a stream takes part in its group, on the real Kafka: bounds, lanes, rebalances, restarts."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from headrace_events import Event, new_id, topics
from headrace_events.inference import InferenceRequested, Message
from headrace_kafka import Consumer
from headrace_kit import Service, held
from headrace_kit.stream_consumer import StreamConsumer

pytestmark = pytest.mark.integration


async def until(condition, seconds: float = 40) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.fixture
async def producer(kafka: str):
    async with AIOKafkaProducer(bootstrap_servers=kafka) as found:
        yield found


async def ask(
    producer: AIOKafkaProducer, workload: str, priority: Any = "normal", request_id: str = ""
) -> str:
    turn = Message(role="user", content="hi")
    data = InferenceRequested(
        request_id=request_id or new_id(), messages=(turn,), priority=priority
    )
    event = Event[Any].new(data, source="t", workload=workload, subject=data.request_id)
    headers = [(k, v.encode()) for k, v in event.headers().items()]
    await producer.send_and_wait(event.topic, event.body(), event.subject.encode(), headers=headers)
    return event.subject


class Member:
    """One member of a group; `handled` counts the keys that it finished."""

    def __init__(self, settings: Any, group: str, instance: str, handled: Counter[str]) -> None:
        self.handled = handled
        self.wanted: set[str] = set()
        self.under_way = self.most = 0
        self.go = asyncio.Event()
        self.go.set()
        self.consumer = StreamConsumer(
            [topics.INFERENCE_REQUESTS],
            self._consume,
            group=group,
            instance=instance,
            settings=settings.kafka,
            max_records=64,
            in_flight=4,
        )

    async def _consume(self, records: Any) -> None:
        keys = [record.key.decode() for record in records]
        if not self.wanted.intersection(keys):
            return
        self.under_way += len(keys)
        self.most = max(self.most, self.under_way)
        await self.go.wait()
        await asyncio.sleep(0.01)
        self.under_way -= len(keys)
        self.handled.update(keys)

    @property
    def generation(self) -> int:
        return int(self.consumer._consumer._coordinator.generation)

    @property
    def partitions(self) -> set[TopicPartition]:
        return set(self.consumer._consumer.assignment())


async def test_no_more_is_taken_than_fits_and_all_of_it_is_done(
    kafka, producer, settings_for
) -> None:
    handled: Counter[str] = Counter()
    member = Member(settings_for(), f"g-{new_id()}", "m-0", handled)
    member.wanted = {await ask(producer, "w") for _ in range(30)}
    member.go.clear()
    await member.consumer.start()
    await until(lambda: member.under_way == 4)
    await asyncio.sleep(0.3)
    assert member.under_way == 4
    member.go.set()
    await until(lambda: len(handled) == 30)
    await member.consumer.stop()
    assert (member.most, set(handled.values())) == (4, {1})


async def test_a_stop_finishes_and_commits_what_is_under_way(kafka, producer, settings_for) -> None:
    group, handled = f"g-{new_id()}", Counter()
    first = Member(settings_for(), group, "m-0", handled)
    wanted = {await ask(producer, "w") for _ in range(12)}
    first.wanted = wanted
    first.go.clear()
    await first.consumer.start()
    await until(lambda: first.under_way == 4)
    stopping = asyncio.create_task(first.consumer.stop())
    await asyncio.sleep(0.1)
    first.go.set()
    await stopping
    assert sum(handled.values()) == 4
    second = Member(settings_for(), group, "m-0", handled)
    second.wanted = wanted
    await second.consumer.start()
    await until(lambda: len(handled) == 12)
    await second.consumer.stop()
    assert set(handled.values()) == {1}


async def test_a_fenced_member_becomes_a_new_one(kafka, producer, settings_for) -> None:
    handled: Counter[str] = Counter()
    member = Member(settings_for(), f"g-{new_id()}", "m-0", handled)
    member.wanted = {await ask(producer, "w")}
    await member.consumer.start()
    await until(lambda: len(handled) == 1)
    # A commit under way would tell aiokafka that its member id is unknown, and heal it.
    offsets = member.consumer._offsets
    await until(lambda: not offsets.under_way and not offsets.committable())
    fenced = member.consumer._consumer
    # What is left when the broker's answer to a join was lost: it knows us by another member id.
    fenced._coordinator.member_id = "lost"
    fenced._coordinator.request_rejoin()
    await asyncio.sleep(1.0)
    later = {await ask(producer, "w") for _ in range(10)}
    member.wanted |= later
    await until(lambda: later <= set(handled))
    assert member.consumer._consumer is not fenced
    await member.consumer.stop()


async def _for_ever(*_: Any, **__: Any) -> None:
    await asyncio.Event().wait()


def _fetches_hang(consumer: Any) -> None:
    consumer._fetcher._proc_fetch_request = _for_ever


def _a_rebalance_never_ends(consumer: Any) -> None:
    consumer._coordinator._do_rejoin_group = _for_ever
    consumer._coordinator.request_rejoin()


def _polls_fail(consumer: Any) -> None:
    def fail() -> None:
        raise RuntimeError("the handler is closed")

    consumer._coordinator.check_errors = fail


@pytest.mark.parametrize("hurt", [_fetches_hang, _a_rebalance_never_ends, _polls_fail])
async def test_a_lane_whose_client_stands_still_gets_a_new_one(
    kafka, producer, settings_for, hurt
) -> None:
    handled: Counter[str] = Counter()
    settings = settings_for()
    settings.kafka.silence_seconds = 2.0
    member = Member(settings, f"g-{new_id()}", "m-0", handled)
    member.wanted = {await ask(producer, "w")}
    await member.consumer.start()
    await until(lambda: len(handled) == 1)
    hurt(hurt_client := member.consumer._consumer)
    await asyncio.sleep(0.5)  # a fetch that was under way ends
    later = {new_id() for _ in range(10)}
    member.wanted |= later
    for request_id in later:
        await ask(producer, "w", request_id=request_id)
    await until(lambda: later <= set(handled))
    assert member.consumer._consumer is not hurt_client
    coordinator = hurt_client._coordinator  # nothing of it may live on
    assert coordinator._coordination_task.done()
    assert coordinator._heartbeat_task is None
    assert hurt_client._fetcher._fetch_task.done()
    assert hurt_client._client._sync_task is None
    await member.consumer.stop()


async def test_no_traffic_is_no_silence(kafka, producer, settings_for) -> None:
    settings = settings_for()
    settings.kafka.silence_seconds = 1.0
    group = f"g-{new_id()}"
    # Five members for four partitions: one has none.
    members = [Member(settings, group, f"m-{n}", Counter()) for n in range(5)]
    await asyncio.gather(*(member.consumer.start() for member in members))
    await until(lambda: sorted(len(m.partitions) for m in members) == [0, 1, 1, 1, 1])
    clients = [member.consumer._consumer for member in members]
    await asyncio.sleep(4.0)
    assert [member.consumer._consumer for member in members] == clients
    for member in members:
        await member.consumer.stop()


@pytest.mark.parametrize("error", [RuntimeError("the handler is closed"), None])
async def test_a_commit_that_dies_or_hangs_is_made_again(
    kafka, producer, settings_for, monkeypatch, error
) -> None:
    monkeypatch.setattr("headrace_kit.stream_consumer._COMMIT_TIMEOUT_SECONDS", 1.0)
    handled: Counter[str] = Counter()
    member = Member(settings_for(), f"g-{new_id()}", "m-0", handled)
    await member.consumer.start()
    client, lane = member.consumer._consumer, member.consumer._offsets
    commit, fallen = client.commit, asyncio.Event()

    async def once(offsets: Any) -> None:
        client.commit = commit
        fallen.set()
        if error:
            raise error
        await _for_ever()

    client.commit = once
    member.wanted = {await ask(producer, "w")}
    await asyncio.wait_for(fallen.wait(), 20)
    await until(lambda: len(handled) == 1 and not lane.committable())
    taken = {p: await client.position(p) for p in member.partitions}
    assert {p: await client.committed(p) or 0 for p in member.partitions} == taken
    await member.consumer.stop()


async def test_a_rebalance_waits_for_what_is_under_way(kafka, producer, settings_for) -> None:
    group, handled = f"g-{new_id()}", Counter()
    one, two = (Member(settings_for(), group, f"m-{n}", handled) for n in range(2))
    one.wanted = two.wanted = {await ask(producer, "w") for _ in range(20)}
    one.go.clear()
    await one.consumer.start()
    await until(lambda: one.under_way == 4)
    joining = asyncio.create_task(two.consumer.start())
    await asyncio.sleep(1.0)
    assert not joining.done()  # the group waits for the member that is at work
    one.go.set()
    await joining
    await until(lambda: len(handled) == 20)
    assert set(handled.values()) == {1}
    await until(lambda: len(one.partitions) == len(two.partitions) == 2)
    for member in (one, two):
        await member.consumer.stop()


async def test_a_static_member_that_comes_back_causes_no_rebalance(
    kafka, producer, settings_for
) -> None:
    group, handled = f"g-{new_id()}", Counter()
    settings = settings_for()
    settings.kafka.session_timeout_ms = 30_000
    stays, goes = (Member(settings, group, f"m-{n}", handled) for n in range(2))
    await stays.consumer.start()
    await goes.consumer.start()
    await until(lambda: len(stays.partitions) == len(goes.partitions) == 2)
    generation, had = stays.generation, goes.partitions
    await goes.consumer.stop()
    back = Member(settings, group, "m-1", handled)
    # Known before they are sent: one of the two is reading already.
    back.wanted = stays.wanted = {new_id() for _ in range(20)}
    for request_id in stays.wanted:
        await ask(producer, "w", request_id=request_id)
    await back.consumer.start()
    await until(lambda: len(handled) == 20)
    assert back.partitions == had
    assert (stays.generation, back.generation) == (generation, generation)
    assert set(handled.values()) == {1}
    for member in (stays, back):
        await member.consumer.stop()


async def test_a_stuck_lane_does_not_hold_up_the_fast_one(kafka, producer, settings_for) -> None:
    workload, seen, go = new_id(), [], asyncio.Event()

    async def handler(events) -> None:
        for event in events:
            if event.workload == workload:
                if event.data.priority == "normal":
                    await go.wait()
                seen.append(event.data.priority)

    service = Service("guardrails", settings_for())
    service.stream(f"s-{workload}", [InferenceRequested], handler)
    async with service.running():
        for _ in range(5):
            await ask(producer, workload)
        await ask(producer, workload, "high")
        await until(lambda: seen)
        assert seen == ["high"]
        go.set()
        await until(lambda: len(seen) == 6)


async def test_where_nobody_waits_batches_are_larger_and_a_lone_event_is_not_kept(
    kafka, producer, settings_for
) -> None:
    workload, settings = new_id(), settings_for()
    batches: dict[int, list[int]] = {1: [], 1_000_000: []}
    lanes = []
    for gather_bytes, sizes in batches.items():

        async def consume(records: Any, sizes: list[int] = sizes) -> None:
            ours = [r for r in records if ("ce_workload", workload.encode()) in r.headers]
            if ours:
                sizes.append(len(ours))

        lanes.append(
            StreamConsumer(
                [topics.INFERENCE_REQUESTS],
                consume,
                group=f"g-{workload}-{gather_bytes}",
                instance="m-0",
                settings=settings.kafka,
                max_records=64,
                in_flight=None,
                gather_bytes=gather_bytes,
            )
        )
    for lane in lanes:
        await lane.start()
    await ask(producer, workload)
    await until(lambda: all(batches.values()))  # both have read what other tests left
    for sizes in batches.values():
        sizes.clear()
    for _ in range(40):
        await ask(producer, workload)
        await asyncio.sleep(0.005)
    await until(lambda: all(sum(sizes) == 40 for sizes in batches.values()))
    at_once, gathered = map(len, batches.values())
    assert gathered <= at_once / 2
    await ask(producer, workload)
    await until(lambda: all(sum(sizes) == 41 for sizes in batches.values()), seconds=2)
    for lane in lanes:
        await lane.stop()


@pytest.mark.parametrize("dies", ["poll", "commit"])
async def test_a_lane_whose_task_dies_goes_on_and_loses_nothing(
    kafka, producer, settings_for, monkeypatch, dies
) -> None:
    """Of what nobody foresaw, in our own code: the task used to be gone, and the lane with it."""
    handled: Counter[str] = Counter()
    member = Member(settings_for(), f"g-{new_id()}", "m-0", handled)
    member.wanted = {await ask(producer, "w") for _ in range(3)}
    deaths = []

    def once(original: Any) -> Any:
        async def die_once(*arguments: Any) -> Any:
            if not deaths:
                deaths.append(1)
                raise KeyError("nobody foresaw it")
            return await original(*arguments)

        return die_once

    name = "_begin" if dies == "poll" else "_commit"
    monkeypatch.setattr(member.consumer, name, once(getattr(member.consumer, name)))
    await member.consumer.start()
    await until(lambda: set(handled) == member.wanted)
    offsets = member.consumer._offsets
    await until(lambda: deaths == [1] and not offsets.under_way and not offsets.committable())
    await member.consumer.stop()


async def test_a_cancellation_out_of_a_handler_leaves_no_record_behind(
    kafka, producer, settings_for
) -> None:
    """aiokafka lets the cancellation of its own tasks out; the record was never done then."""
    handled: Counter[str] = Counter()
    member = Member(settings_for(), f"g-{new_id()}", "m-0", handled)
    consume, leaks = member.consumer._consume, []

    async def leaking(records: Any) -> None:
        if not leaks and member.wanted.intersection(r.key.decode() for r in records):
            leaks.append(1)
            raise asyncio.CancelledError
        await consume(records)

    member.consumer._consume = leaking
    member.wanted = {await ask(producer, "w")}
    await member.consumer.start()
    await until(lambda: set(handled) == member.wanted and leaks == [1])
    offsets = member.consumer._offsets
    await until(lambda: not offsets.under_way and not offsets.committable())
    await member.consumer.stop()


async def test_a_lane_that_may_not_read_says_so_until_it_may(
    kafka, producer, settings_for, monkeypatch
) -> None:
    async def denied(*_: Any, **__: Any) -> Any:
        raise TopicAuthorizationFailedError(topics.INFERENCE_REQUESTS)

    monkeypatch.setattr(held, "_POLL_PATIENCE_SECONDS", 7.0)  # a new member has joined by then
    handled: Counter[str] = Counter()
    member = Member(settings_for(), f"g-{new_id()}", "m-0", handled)
    await member.consumer.start()
    first = member.consumer._consumer
    monkeypatch.setattr(Consumer, "getmany", denied)
    await asyncio.sleep(1.5)
    assert member.consumer.lane.is_going  # once or twice is nothing
    await until(lambda: not member.consumer.lane.is_going)
    assert member.consumer._consumer is not first
    monkeypatch.undo()
    member.wanted = {await ask(producer, "w")}
    await until(lambda: member.consumer.lane.is_going and len(handled) == 1)
    await member.consumer.stop()


async def test_the_control_lane_that_may_not_read_says_so_until_it_may(
    kafka, settings_for, monkeypatch
) -> None:
    async def denied(*_: Any, **__: Any) -> Any:
        raise TopicAuthorizationFailedError(topics.WORKLOADS)

    monkeypatch.setattr(held, "_POLL_PATIENCE_SECONDS", 4.0)
    service = Service("registry", settings_for())
    async with service.running():
        assert service.readiness()["lane headrace.registry"]
        monkeypatch.setattr(Consumer, "getone", denied)
        # What the poll under way returns with: of a type that nobody handles.
        named = {"specversion": "1.0", "id": new_id(), "source": "t", "type": "t.v1"}
        headers = [(f"ce_{name}", value.encode()) for name, value in named.items()]
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            for partition in range(topics.BY_NAME[topics.WORKLOADS].partitions):
                await producer.send_and_wait(
                    topics.WORKLOADS, b"{}", b"k", partition=partition, headers=headers
                )
        await until(lambda: not service.readiness()["lane headrace.registry"])
        monkeypatch.undo()
        await until(lambda: service.readiness()["lane headrace.registry"])
