"""How every part of Headrace talks to Kafka."""

from headrace_kafka.consumer import Consumer
from headrace_kafka.sizes import DEFAULT_MOST_BYTES, record_bytes
from headrace_kafka.stopping import give_up, is_cancelled
from headrace_kafka.unreadable import UnreadableRecord

__all__ = [
    "DEFAULT_MOST_BYTES",
    "Consumer",
    "UnreadableRecord",
    "give_up",
    "is_cancelled",
    "record_bytes",
]
