"""FastStream's side: a subscriber that hands untouched records over, commits after the work."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.exceptions import NackMessage
from faststream.kafka import KafkaBroker, KafkaMessage

from headrace_kafka import Consumer, give_up
from headrace_kit.held import Lane
from headrace_kit.metrics import REBALANCES
from headrace_kit.settings import Kafka
from headrace_kit.silence import Silence, join_anew
from headrace_kit.stream_consumer import membership

_WATCH_SECONDS = 1.0
_FAILING_SECONDS = 8.0  # FastStream waits for five before it polls again

OnRecord = Callable[["ConsumerRecord[Any, Any]"], Awaitable[None]]


async def _keep_record(record: Any, original: Callable[[Any], Awaitable[KafkaMessage]]) -> Any:
    """Parse without touching headers: FastStream's own parser dies on one that is not UTF-8."""
    message = await original(dataclasses.replace(record, headers=()))
    message.raw_message = record
    return message


async def _undecoded(message: KafkaMessage) -> Any:
    """Our consumers parse the envelope themselves."""
    return message.raw_message


class _Reader(Consumer):
    """Our consumer, which notes what FastStream swallows: that a poll failed, when, of what."""

    failed: tuple[float, KafkaError] | None = None

    async def getone(self, *partitions: TopicPartition) -> Any:
        try:
            return await super().getone(*partitions)
        except KafkaError as error:
            self.failed = time.monotonic(), error
            raise


class _Broker(KafkaBroker):
    """FastStream's broker with our consumer: one that reads past what cannot be read."""

    async def _connect(self) -> Any:
        await super()._connect()
        config = self.config.broker_config
        made: Any = config.builder  # by `_connect`, and so replaced behind it
        config.builder = partial(_Reader, **made.keywords)
        return config.builder


def make_broker(settings: Kafka, client_id: str) -> KafkaBroker:
    """Make the broker; nothing connects before its start."""
    return _Broker(
        settings.bootstrap_servers,
        client_id=client_id,
        allow_auto_create_topics=False,
        apply_types=False,
        graceful_timeout=settings.drain_seconds,
        logger=None,
    )


def _consumer_options(settings: Kafka, instance: str) -> dict[str, Any]:
    return {
        # Offsets move only after the work: FastStream's default acknowledges first.
        "ack_policy": AckPolicy.NACK_ON_ERROR,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",  # else FastStream asks for its own default
        **membership(settings, instance),
        "max_partition_fetch_bytes": 4 * settings.max_record_bytes,
        "parser": _keep_record,
        "decoder": _undecoded,
    }


class ControlSubscriber(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Hands over records one at a time, in order, committing each after its handler returned."""

    def __init__(
        self,
        broker: KafkaBroker,
        topics: Sequence[str],
        handler: OnRecord,
        *,
        group: str,
        instance: str,
        settings: Kafka,
    ) -> None:
        self._handler = handler
        self._group = group
        self.lane = Lane(group)
        self._settings = settings
        self._joined = False
        self._busy = False
        self._told: tuple[float, KafkaError] | None = None
        self._subscriber = broker.subscriber(
            *topics, group_id=group, listener=self, **_consumer_options(settings, instance)
        )
        self._subscriber(self._on_record)

    async def _on_record(self, record: Any) -> None:
        self._busy = True
        try:
            # FastStream drops what a handler raises, and seeks back to the record at once.
            if not await self.lane.work(self._handler, record):
                raise NackMessage  # halted, and now stopped: the record is not done
        finally:
            self._busy = False

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """A rebalance begins."""
        self._joined = False

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """A rebalance ended."""
        REBALANCES.labels(self._group).inc()
        self._joined = True

    async def watch(self) -> None:
        """Join the group anew whenever Kafka is silent for too long; runs until cancelled."""
        silence = Silence()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            self._look_at_polls()
            if self._busy:  # nobody asks
                silence.end()
                continue
            silent = silence.seconds(self._subscriber.consumer, joined=self._joined)
            if silent > self._settings.silence_seconds:
                await join_anew(self._group, self._become_a_new_member)
                silence.end()

    def _look_at_polls(self) -> None:
        failed = getattr(self._subscriber.consumer, "failed", None)
        if failed is None or time.monotonic() - failed[0] > _FAILING_SECONDS:
            self.lane.go()
        elif failed is not self._told:
            self.lane.stand(failed[1])
        self._told = failed

    async def _become_a_new_member(self) -> None:
        self._joined = False
        await give_up(self._subscriber.consumer)
        await self._subscriber.stop()
        await self._subscriber.start()
