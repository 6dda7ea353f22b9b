"""What can go wrong for a product service; each error says what to do."""


class HeadraceError(Exception):
    """Base of everything the client raises on purpose."""


class NotConfigured(HeadraceError):
    """The client does not know where Kafka is."""


class Unreachable(HeadraceError):
    """Kafka does not answer, or is not Headrace's."""


class Rejected(HeadraceError):
    """The request was refused or could not be answered; the text is not in the message."""

    def __init__(self, reason: str, detail: str, request_id: str, trace_id: str | None) -> None:
        super().__init__(f"{reason}: {detail} (request {request_id})")
        self.reason = reason
        """guardrail, deadline_exceeded, unknown_workload, overloaded or engine_error."""
        self.detail = detail
        self.request_id = request_id
        self.trace_id = trace_id


class Timeout(HeadraceError, TimeoutError):
    """No outcome came in time; the request carried the same deadline, so nobody works on it."""

    def __init__(self, seconds: float, request_id: str) -> None:
        super().__init__(
            f"no answer within {seconds:g} s (request {request_id}): is the stack up and the "
            "workload applied? `headrace status` says; a longer `timeout` may be needed"
        )
        self.request_id = request_id
