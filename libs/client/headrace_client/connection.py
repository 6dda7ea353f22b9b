"""The client's way to Kafka: one producer for what it asks, one reader for what comes back."""

import asyncio
import contextlib
import logging
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from headrace_client.errors import ConnectionLost, Unreachable
from headrace_client.outcomes import Outcomes
from headrace_events import Event

_LOG = logging.getLogger(__name__)
# Notices that nobody waits for (a cancellation) may take this long before a close leaves them.
_NOTICE_SECONDS = 2.0
# aiokafka's 16 KiB is a dozen requests; who has one more waits until they have left.
_BATCH_BYTES = 256 * 1024


class Connection:
    """Connected from `open` to `close`; both ends reconnect by themselves when Kafka restarts."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._producer = AIOKafkaProducer(
            bootstrap_servers=servers,
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
        )
        self.outcomes = Outcomes(servers)
        self._notices: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connect; from here on no outcome is missed."""
        if type(asyncio.get_running_loop()).__module__.startswith("uvloop"):
            _LOG.warning(
                "aiokafka may not survive a restart of Kafka on uvloop (aio-libs/aiokafka#1038): "
                "run on asyncio's loop, with `uvicorn --loop asyncio` for example"
            )
        try:
            await self._producer.start()
            await self.outcomes.start()
        except KafkaConnectionError:
            await self.close()
            raise Unreachable(
                f"Kafka does not answer at {self._servers}: is the stack up? `headrace status`"
            ) from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect; who still waits hears ConnectionLost."""
        if self._notices:
            await asyncio.wait(self._notices, timeout=_NOTICE_SECONDS)
        for notice in self._notices:
            notice.cancel()
        await self.outcomes.stop()
        await self._producer.stop()

    async def publish(self, event: Event[Any]) -> None:
        """Return when the broker has the event; raise ConnectionLost when it did not take it."""
        headers = [(name, value.encode()) for name, value in event.headers().items()]
        try:
            await self._producer.send_and_wait(
                event.topic, event.body(), event.subject.encode(), headers=headers
            )
        except KafkaError as error:
            raise ConnectionLost(
                f"Kafka at {self._servers} did not take the event ({type(error).__name__})"
            ) from None

    def notify(self, event: Event[Any]) -> None:
        """Publish something that nobody waits for; it may be lost with Kafka."""

        async def attempt() -> None:
            with contextlib.suppress(ConnectionLost):
                await self.publish(event)

        task = asyncio.create_task(attempt())
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)
