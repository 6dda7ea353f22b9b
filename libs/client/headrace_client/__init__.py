"""Chat with a Headrace workload over Kafka."""

from headrace_client.answer import Answer
from headrace_client.client import HeadraceClient
from headrace_client.errors import HeadraceError, NotConfigured, Rejected, Timeout, Unreachable
from headrace_client.stream import AnswerStream

__all__ = [
    "Answer",
    "AnswerStream",
    "HeadraceClient",
    "HeadraceError",
    "NotConfigured",
    "Rejected",
    "Timeout",
    "Unreachable",
]
