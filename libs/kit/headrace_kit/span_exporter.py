"""Sends ended spans in batches from a thread; a sink that is away costs spans, never requests."""

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog

from headrace_kit.metrics import SPANS_DROPPED
from headrace_kit.otlp import encode
from headrace_kit.spans import RecordedSpan

_LOG = structlog.get_logger(__name__)
_PAUSE_SECONDS = 1.0
_BATCH = 2000
_MOST_WAITING = 50_000
_TIMEOUT_SECONDS = 10.0
_RETRY_SECONDS = (0.5, 2.0)
_HEADERS = {"content-type": "application/x-protobuf"}
_TRY_LATER = frozenset({408, 429, 502, 503, 504})


class SpanExporter:
    """A queue and the thread that empties it."""

    def __init__(self, url: str, headers: Mapping[str, str], resource: Mapping[str, Any]) -> None:
        import requests

        self._session = requests.Session()
        # The sink is named by the operator; a proxy of the environment is not for it.
        self._session.trust_env = False
        self._url = url
        self._headers = {**_HEADERS, **headers}
        self._resource = resource
        self._waiting: deque[RecordedSpan] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def take(self, span: RecordedSpan) -> None:
        """Queue an ended span; without room it is dropped and counted."""
        if len(self._waiting) >= _MOST_WAITING:
            SPANS_DROPPED.inc()
            return
        self._waiting.append(span)
        if len(self._waiting) >= _BATCH:
            self._wake.set()

    def shutdown(self) -> None:
        """Send what is left and stop."""
        self._stopping = True
        self._wake.set()
        self._thread.join(_TIMEOUT_SECONDS)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(_PAUSE_SECONDS)
            self._wake.clear()
            self._send_waiting()
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting:
            size = min(_BATCH, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            if not self._send(encode(batch, self._resource)):
                SPANS_DROPPED.inc(size)

    def _send(self, body: bytes) -> bool:
        import requests

        reason = ""
        for pause in (*_RETRY_SECONDS, 0.0):
            try:
                answer = self._session.post(
                    self._url, body, headers=self._headers, timeout=_TIMEOUT_SECONDS
                )
            except requests.RequestException as error:
                reason = type(error).__name__
            else:
                if answer.ok:
                    return True
                reason = str(answer.status_code)
                if answer.status_code not in _TRY_LATER:
                    break
            if self._stopping:
                break
            # Not the wake event: it is set while spans come, and this must wait.
            threading.Event().wait(pause)
        _LOG.warning("spans dropped", reason=reason, url=self._url)
        return False
