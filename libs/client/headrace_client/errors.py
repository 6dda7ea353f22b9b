"""What can go wrong for a product service; each error says what to do."""


class HeadraceError(Exception):
    """Base of everything the client raises on purpose."""


class NotConfigured(HeadraceError):
    """The client does not know where Kafka is."""


class Unreachable(HeadraceError):
    """Kafka does not answer, or is not Headrace's."""


class ConnectionLost(Unreachable):
    """Kafka was there and is not any more: the request may or may not have been taken.

    Asking again is safe: it is another request, with an answer of its own.
    """


class Rejected(HeadraceError):
    """The request was refused or could not be answered; the text is not in the message."""

    def __init__(self, reason: str, detail: str, request_id: str, trace_id: str | None) -> None:
        super().__init__(f"{reason}: {detail} (request {request_id})")
        self.reason = reason
        """guardrail, deadline_exceeded, cancelled, unknown_workload, overloaded, engine_error,
        invalid_request or guard_unavailable."""
        self.detail = detail
        self.request_id = request_id
        self.trace_id = trace_id


class Blocked(Rejected):
    """A guardrail refused the request or its answer: asking again gives the same."""


class DeadlineExceeded(Rejected, TimeoutError):
    """The deadline passed before the answer was generated: a longer `timeout` may help."""


class Cancelled(Rejected):
    """The request was cancelled before its answer was there."""


class UnknownWorkload(Rejected):
    """No such workload: apply its manifest with `headrace apply`."""


class Overloaded(Rejected):
    """There was too much to do: ask again in a moment."""


class EngineFailed(Rejected):
    """The model could not answer."""


class InvalidRequest(Rejected):
    """It can never be answered as it is, e.g. it is longer than the model's context."""


class GuardUnavailable(Rejected):
    """The checks gave no verdict, so nothing was let through: ask again in a moment."""


_BY_REASON: dict[str, type[Rejected]] = {
    "guardrail": Blocked,
    "deadline_exceeded": DeadlineExceeded,
    "cancelled": Cancelled,
    "unknown_workload": UnknownWorkload,
    "overloaded": Overloaded,
    "engine_error": EngineFailed,
    "invalid_request": InvalidRequest,
    "guard_unavailable": GuardUnavailable,
}


def rejected(reason: str, detail: str, request_id: str, trace_id: str | None) -> Rejected:
    """The error of a reason; a reason that a newer release has is a plain Rejected."""
    return _BY_REASON.get(reason, Rejected)(reason, detail, request_id, trace_id)


class Timeout(HeadraceError, TimeoutError):
    """No outcome came in time; the request was cancelled, so nobody works on it for long."""

    def __init__(self, seconds: float, request_id: str) -> None:
        super().__init__(
            f"no answer within {seconds:g} s (request {request_id}): is the stack up and the "
            "workload applied? `headrace status` says; a longer `timeout` may be needed"
        )
        self.request_id = request_id
