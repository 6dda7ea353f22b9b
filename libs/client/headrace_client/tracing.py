"""W3C trace context without a tracing library: every request gets a trace of its own."""

import secrets
import time


class TraceIds:
    """Makes traceparents; at most `rate` requests a second ask to be recorded (token bucket)."""

    def __init__(self, rate: float = 10.0) -> None:
        self._rate = rate
        self._most = max(rate, 1.0)
        self._tokens = self._most
        self._filled_at = time.monotonic()

    def traceparent(self, sampled: bool | None = None) -> str:
        """A new trace; `sampled` decides, None leaves it to the rate."""
        flag = self._take() if sampled is None else sampled
        return f"00-{_hex_id(16)}-{_hex_id(8)}-{int(flag):02x}"

    def _take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._most, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._rate <= 0 or self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def _hex_id(size: int) -> str:
    """Random bytes as hex; all zeros would be invalid."""
    while not any(found := secrets.token_bytes(size)):
        pass
    return found.hex()
