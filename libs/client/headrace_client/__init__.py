"""Chat with a Headrace workload over Kafka."""

from headrace_client.answer import Answer
from headrace_client.client import HeadraceClient
from headrace_client.errors import (
    Blocked,
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    EngineFailed,
    GuardUnavailable,
    HeadraceError,
    InvalidRequest,
    NotConfigured,
    Overloaded,
    Rejected,
    Timeout,
    UnknownWorkload,
    Unreachable,
)
from headrace_client.options import ChatOptions
from headrace_client.pending import PendingAnswer
from headrace_client.stream import AnswerStream

__all__ = [
    "Answer",
    "AnswerStream",
    "Blocked",
    "Cancelled",
    "ChatOptions",
    "ConnectionLost",
    "DeadlineExceeded",
    "EngineFailed",
    "GuardUnavailable",
    "HeadraceClient",
    "HeadraceError",
    "InvalidRequest",
    "NotConfigured",
    "Overloaded",
    "PendingAnswer",
    "Rejected",
    "Timeout",
    "UnknownWorkload",
    "Unreachable",
]
