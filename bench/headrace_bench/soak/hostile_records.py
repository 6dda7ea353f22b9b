"""A hostile producer: each kind of record that stopped a lane, hung, or led to a wrong answer."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from headrace_bench.faults.junk import KINDS as JUNK
from headrace_bench.faults.junk import Headers, Poisoner
from headrace_bench.faults.traffic import ASKED, QUIET, SOURCE
from headrace_events import Event, new_id
from headrace_events.inference import InferenceRequested, Message
from headrace_events.topics import CATALOGUE, FEEDBACK, INFERENCE_REQUESTS, ROLLOUTS, WORKLOADS
from headrace_events.workload import Manifest, WorkloadApplied

_3_MB = 3 * 1000 * 1000
_LONG = 200_000
_SLOW_TEXTS = (
    "illegal" + "!" * 60,
    "@" * _LONG,
    "!" * _LONG,
    "06 30 " * 20_000,
    "ignore " * 20_000,
    "1 " * 60_000,
    "a@" * 60_000,
)
_CODECS = ("gzip", "lz4", "snappy", "zstd")


class HostileProducer:
    """Writes hostile records; requests among them that are valid must be answered."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._plain = self._make()
        self._packed = {codec: self._make(compression_type=codec) for codec in _CODECS}
        self._junk = Poisoner(bootstrap)
        self.written: Counter[str] = Counter()
        self.must_be_answered: list[str] = []
        """Ids of valid requests: each must have one outcome."""
        self.must_not_be_answered: list[str] = []
        """Ids of requests of transactions that were aborted."""
        self._texts = itertools.cycle(_SLOW_TEXTS)
        self._control = itertools.cycle(
            t.name for t in CATALOGUE if not t.name.startswith(("headrace.dlq.", "headrace.inf"))
        )
        self._numbers = itertools.count()

    def _make(self, **more: Any) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, acks="all", max_request_size=4 * _3_MB, **more
        )

    async def __aenter__(self) -> "HostileProducer":
        await asyncio.gather(self._plain.start(), *(p.start() for p in self._packed.values()))
        await self._junk.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(self._plain.stop(), *(p.stop() for p in self._packed.values()))
        await self._junk.__aexit__()

    def kinds(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Every kind by name."""
        return {
            **{f"junk: {kind}": partial(self._junk.write, kind) for kind in JUNK},
            **{f"{codec}: not JSON": partial(self._packed_junk, codec) for codec in _CODECS},
            **{f"{codec}: a good request": partial(self._packed_good, codec) for codec in _CODECS},
            "gzip, 3 MB unpacked: not JSON": self._large_junk,
            "gzip, 3 MB unpacked: a valid request": self._large_request,
            "aborted transaction": self._aborted,
            "foreign header that is not UTF-8": partial(self._good, (("x-blob", b"\xff\xfe"),)),
            "header without a value": partial(self._good, (("x-null", None),)),
            "binary tracestate": partial(self._good, (("tracestate", b"\x00\xff"),)),
            "a text that is slow to check": self._slow,
            "manifest in the topic of feedback": self._wrong_topic_manifest,
            "training.completed in the topic of roll-outs": self._wrong_topic_training,
            "manifest under another workload's name": self._wrong_name,
            "an older manifest, late": self._older,
            "junk in a control topic": self._control_junk,
            "very long ids": self._long_ids,
            "an invented workload": self._invented,
            "feedback with a control character": self._bad_feedback,
        }

    async def run(self, pause: float, over: asyncio.Event) -> None:
        """Write one kind after the other until it is over; Kafka may be away for a moment."""
        for name, write in itertools.cycle(self.kinds().items()):
            if over.is_set():
                return
            try:
                await write()
                self.written[name] += 1
            except KafkaError as error:
                self.written[f"{name} ({type(error).__name__})"] += 1
            await asyncio.sleep(pause)

    # -- records ------------------------------------------------------------------------------

    async def _send(
        self, topic: str, value: bytes | None, headers: Headers, producer: Any = None
    ) -> None:
        await (producer or self._plain).send_and_wait(
            topic, value, new_id().encode(), headers=headers
        )

    def _request(self, text: str = "where is my card", workload: str = ASKED) -> Event[Any]:
        data = InferenceRequested(
            request_id=new_id(), messages=(Message(role="user", content=text),)
        )
        return Event[Any].new(data, source=SOURCE, workload=workload, subject=data.request_id)

    async def _good(self, more: tuple[tuple[str, Any], ...], producer: Any = None) -> None:
        event = self._request()
        await self._send(INFERENCE_REQUESTS, event.body(), [*_headers(event), *more], producer)
        self.must_be_answered.append(event.subject)

    async def _packed_good(self, codec: str) -> None:
        await self._good((), self._packed[codec])

    async def _packed_junk(self, codec: str) -> None:
        headers = _headers(self._request())
        await self._send(INFERENCE_REQUESTS, b"{not json" * 50, headers, self._packed[codec])

    async def _large_junk(self) -> None:
        headers = _headers(self._request())
        await self._send(INFERENCE_REQUESTS, b"{" + b"x" * _3_MB, headers, self._packed["gzip"])

    async def _large_request(self) -> None:
        event = self._request("x" * _3_MB)
        await self._send(INFERENCE_REQUESTS, event.body(), _headers(event), self._packed["gzip"])
        self.must_be_answered.append(event.subject)

    async def _aborted(self) -> None:
        producer = self._make(transactional_id=f"soak-{next(self._numbers)}")
        await producer.start()
        try:
            event = self._request()
            await producer.begin_transaction()
            await self._send(INFERENCE_REQUESTS, event.body(), _headers(event), producer)
            await producer.abort_transaction()
            self.must_not_be_answered.append(event.subject)
        finally:
            await producer.stop()

    async def _slow(self) -> None:
        event = self._request(next(self._texts))
        await self._send(INFERENCE_REQUESTS, event.body(), _headers(event))
        self.must_be_answered.append(event.subject)

    async def _wrong_topic_manifest(self) -> None:
        event = _applied("soak-smuggled", path="/etc/passwd")
        await self._send(FEEDBACK, event.body(), _headers(event))

    async def _wrong_topic_training(self) -> None:
        event = _applied("soak-smuggled")
        headers = [
            (n, b"training.completed.v1" if n == "ce_type" else v) for n, v in _headers(event)
        ]
        await self._send(ROLLOUTS, event.body(), headers)

    async def _wrong_name(self) -> None:
        event = _applied(QUIET)
        headers = [(n, ASKED.encode() if n == "ce_workload" else v) for n, v in _headers(event)]
        await self._send(WORKLOADS, event.body(), headers)

    async def _older(self) -> None:
        """A manifest of ASKED from an hour ago that would block every request."""
        event = _applied(ASKED, spec={"guard": {"max_chars": 1}})
        event = event.model_copy(update={"time": datetime.now(UTC) - timedelta(hours=1)})
        await self._send(WORKLOADS, event.body(), _headers(event))

    async def _control_junk(self) -> None:
        await self._send(next(self._control), b"\x00\xff{", [("ce_type", b"\xff"), ("x", b"")])

    async def _long_ids(self) -> None:
        event = self._request()
        long = {"ce_id": b"i" * 100_000, "ce_subject": b"s" * 100_000}
        headers = [(n, long.get(n, v)) for n, v in _headers(event)]
        await self._send(INFERENCE_REQUESTS, event.body(), headers)

    async def _invented(self) -> None:
        event = self._request(workload=f"soak-invented-{next(self._numbers)}")
        await self._send(INFERENCE_REQUESTS, event.body(), _headers(event))
        self.must_be_answered.append(event.subject)

    async def _bad_feedback(self) -> None:
        event = self._request()
        headers = [(n, b"feedback.given.v1" if n == "ce_type" else v) for n, v in _headers(event)]
        body = json.dumps({"request_id": "a\u0000b", "rating": 1}).encode()
        await self._send(FEEDBACK, body, headers)


def _headers(event: Event[Any]) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in event.headers().items()]


def _applied(name: str, path: str = "", spec: dict[str, Any] | None = None) -> Event[Any]:
    sources = {"data": {"sources": [{"type": "file", "path": path}]}} if path else {}
    manifest = Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": name, "owner": SOURCE},
            "spec": {**sources, **(spec or {})},
        }
    )
    data = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
    return Event[Any].new(data, source=SOURCE, workload=name, subject=name)
