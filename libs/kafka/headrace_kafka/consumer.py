"""aiokafka's consumer, with what every reader of Headrace has in common."""

from typing import Any

from aiokafka import AIOKafkaConsumer

from headrace_kafka.unreadable import FetchedRecords


class Consumer(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka has no types
    """Reads what was committed, and reads past what cannot be read (see `UnreadableRecord`)."""

    def __init__(self, *topics: str, **options: Any) -> None:
        super().__init__(*topics, **{"isolation_level": "read_committed", **options})

    async def start(self) -> None:
        """Connect; raises a KafkaError when the brokers do not answer."""
        await super().start()
        # In one turn of the loop: nothing is fetched between the look and the exchange.
        self._fetcher._records = FetchedRecords(self._fetcher._records)
