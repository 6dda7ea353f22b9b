"""Event ids: UUIDv7 (RFC 9562), fresh or derived from the event that caused them."""

import hashlib
import os
import re
import time
import uuid

_RANDOM_BITS = 74
_PLAIN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def _uuid7(milliseconds: int, random_bits: int) -> str:
    """Lay out 48 bits of Unix milliseconds and 74 bits of randomness as RFC 9562 asks.

    Not by uuid.UUID, which makes an object for it: each event of the hot path has a new id.
    """
    rand_a = random_bits >> 62
    rand_b = random_bits & ((1 << 62) - 1)
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_id() -> str:
    """Return a fresh UUIDv7."""
    bits = int.from_bytes(os.urandom(10), "big") >> (80 - _RANDOM_BITS)
    return _uuid7(time.time_ns() // 1_000_000, bits)


def derived_id(cause: str, *names: str) -> str:
    """Return the UUIDv7 that an outcome of `cause` always gets.

    A replay of the cause makes the same id again, so a consumer's inbox drops the repeat.
    The timestamp is the cause's (0 when its id is not a UUIDv7: CloudEvents allows any text), the
    rest is a SHA-256 of the cause and `names` (event type, plus a discriminator when one cause has
    several outcomes of that type).
    """
    # JSON may hold half a surrogate pair, which UTF-8 proper cannot.
    text = "\x1f".join((cause, *names)).encode(errors="surrogatepass")
    digest = hashlib.sha256(text).digest()
    bits = int.from_bytes(digest[:10], "big") >> (80 - _RANDOM_BITS)
    return _uuid7(_milliseconds(cause), bits)


def _milliseconds(identity: str) -> int:
    if _PLAIN.fullmatch(identity):
        return int(identity[:8] + identity[9:13], 16)
    try:  # upper case, braces, no hyphens: all of them are UUIDs too
        parsed = uuid.UUID(identity)
    except ValueError:
        return 0
    return parsed.int >> 80 if parsed.version == 7 else 0
