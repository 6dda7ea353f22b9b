"""What the broker's refusal of a record means: never, or not now."""

from aiokafka.errors import (
    BrokerResponseError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)

from headrace_kit.unit_of_work import EventTooLarge

_TOO_LARGE = (
    EventTooLarge,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)
# A broker that says no so often in a row, over minutes, means it.
_MOST_TRIES = 10


def is_too_large(error: object) -> bool:
    """Say whether a record, or the batch that it was in, was refused for its size."""
    return isinstance(error, _TOO_LARGE)


def is_never_taken(error: BaseException, tries: int) -> bool:
    """Say whether a record that was sent alone, or so often, will not be taken at any later time.

    A right that is missing may be given, and an error that may be tried again is tried again.
    """
    if is_too_large(error):
        return True
    final = isinstance(error, BrokerResponseError) and not error.retriable
    return final and "Authorization" not in type(error).__name__ and tries >= _MOST_TRIES
