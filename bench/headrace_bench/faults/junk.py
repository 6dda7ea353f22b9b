"""Poison: records that no consumer can make an event of."""

import random
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from headrace_bench.faults.traffic import ASKED, SOURCE
from headrace_events import Event, new_id
from headrace_events.inference import InferenceRequested, Message
from headrace_events.topics import INFERENCE_REQUESTS

KINDS = ("not JSON", "bad UTF-8 body", "bad UTF-8 header", "empty", "wrong schema", "no headers")
_20_MB = 20 * 1000 * 1000
_BROKER_BYTES = 1_048_588  # Kafka's message.max.bytes when nobody sets it
_STEP_BYTES = 32

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Accepted:
    """A poisoned record that the broker took."""

    kind: str
    origin: str


class Poisoner:
    """Writes poison into the topic of requests and notes where the broker put it."""

    def __init__(self, bootstrap: str, seed: int = 7) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", max_request_size=2 * _20_MB
        )
        self._random = random.Random(seed)  # noqa: S311 - a load, not a secret
        self.accepted: list[Accepted] = []
        self.refused: dict[str, str] = {}
        """What the broker itself refused, by kind, and with which error."""

    async def __aenter__(self) -> "Poisoner":
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def write(self, kind: str) -> None:
        """Write one record of a kind."""
        headers, value = self._record(kind)
        await self._send(kind, headers, value)

    async def write_too_large(self) -> None:
        """20 MB, which a broker with Kafka's defaults refuses: the sender hears of it at once."""
        headers, _ = self._record("not JSON")
        await self._send("20 MB", headers, b"x" * _20_MB)

    async def write_largest(self) -> None:
        """The largest record that the broker takes: its dead letter is larger by its headers."""
        headers, _ = self._record("not JSON")
        taken = len(self.accepted)
        for size in range(_BROKER_BYTES, 0, -_STEP_BYTES):
            await self._send("largest", headers, b"x" * size)
            if len(self.accepted) > taken:
                self.refused.pop("largest", None)
                return

    async def _send(self, kind: str, headers: Headers, value: bytes | None) -> None:
        try:
            sent = await self._producer.send_and_wait(
                INFERENCE_REQUESTS, value, new_id().encode(), headers=headers
            )
        except MessageSizeTooLargeError as error:
            self.refused[kind] = type(error).__name__
        except KafkaError as error:
            self.refused[kind] = type(error).__name__
        else:
            place = f"{sent.topic}/{sent.partition}/{sent.offset}"
            self.accepted.append(Accepted(kind, place))

    def _record(self, kind: str) -> tuple[Headers, bytes | None]:
        request = InferenceRequested(
            request_id=new_id(), messages=(Message(role="user", content="poison"),)
        )
        event = Event[InferenceRequested].new(
            request, source=SOURCE, workload=ASKED, subject=request.request_id
        )
        headers = [(name, value.encode()) for name, value in event.headers().items()]
        if kind == "bad UTF-8 header":
            headers = [(n, b"\xff\xfe" if n == "ce_subject" else v) for n, v in headers]
        bodies = {
            "not JSON": b"{not json",
            "bad UTF-8 body": b'{"request_id": "\xff\xfe\xc3"}',
            "bad UTF-8 header": event.body(),
            "empty": self._random.choice((b"", None)),
            "wrong schema": b'{"request_id": 7, "messages": []}',
            "no headers": event.body(),
        }
        return ([] if kind == "no headers" else headers), bodies[kind]
