"""FastStream's side: subscribers that hand untouched records over and commit after the work."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import ConsumerRecord
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from headrace_kit.settings import Kafka

OnRecord = Callable[["ConsumerRecord[Any, Any]"], Awaitable[None]]
OnRecords = Callable[[Sequence["ConsumerRecord[Any, Any]"]], Awaitable[None]]


async def _keep_record(record: Any, original: Callable[[Any], Awaitable[KafkaMessage]]) -> Any:
    """Parse without touching headers: FastStream's own parser dies on one that is not UTF-8."""
    stripped = (
        tuple(dataclasses.replace(r, headers=()) for r in record)
        if isinstance(record, tuple)
        else dataclasses.replace(record, headers=())
    )
    message = await original(stripped)
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
        graceful_timeout=20.0,
        logger=None,
    )


def _consumer_options(settings: Kafka, instance: str) -> dict[str, Any]:
    return {
        # Offsets move only after the work: FastStream's default acknowledges first.
        "ack_policy": AckPolicy.NACK_ON_ERROR,
        "auto_offset_reset": "earliest",
        # Static membership: a restarted replica takes its partitions back without a rebalance.
        "group_instance_id": instance,
        "session_timeout_ms": settings.session_timeout_ms,
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


def subscribe_batches(
    broker: KafkaBroker,
    topics: Sequence[str],
    handler: OnRecords,
    *,
    group: str,
    instance: str,
    settings: Kafka,
    max_records: int,
) -> None:
    """Hand over what has come, at most `max_records`, committing after the handler returned."""

    async def on_records(records: Any) -> None:
        await handler(records)

    broker.subscriber(
        *topics,
        group_id=group,
        batch=True,
        max_records=max_records,
        # getmany returns as soon as there is something; this only bounds an idle wait.
        batch_timeout_ms=50,
        fetch_max_wait_ms=100,
        **_consumer_options(settings, instance),
    )(on_records)
