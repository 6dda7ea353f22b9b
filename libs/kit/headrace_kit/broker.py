"""FastStream's side: a subscriber that hands untouched records over, commits after the work."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import ConsumerRecord
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from headrace_kit.settings import Kafka
from headrace_kit.stream_consumer import membership

OnRecord = Callable[["ConsumerRecord[Any, Any]"], Awaitable[None]]


async def _keep_record(record: Any, original: Callable[[Any], Awaitable[KafkaMessage]]) -> Any:
    """Parse without touching headers: FastStream's own parser dies on one that is not UTF-8."""
    message = await original(dataclasses.replace(record, headers=()))
    message.raw_message = record
    return message


async def _undecoded(message: KafkaMessage) -> Any:
    """Our consumers parse the envelope themselves."""
    return message.raw_message


def make_broker(settings: Kafka, client_id: str) -> KafkaBroker:
    """Make the broker; nothing connects before its start."""
    return KafkaBroker(
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
        **membership(settings, instance),
        "max_partition_fetch_bytes": 4 * settings.max_record_bytes,
        "parser": _keep_record,
        "decoder": _undecoded,
    }


def subscribe_one(
    broker: KafkaBroker,
    topics: Sequence[str],
    handler: OnRecord,
    *,
    group: str,
    instance: str,
    settings: Kafka,
) -> None:
    """Hand over records one at a time, in order, committing each after its handler returned."""

    async def on_record(record: Any) -> None:
        await handler(record)

    broker.subscriber(*topics, group_id=group, **_consumer_options(settings, instance))(on_record)
