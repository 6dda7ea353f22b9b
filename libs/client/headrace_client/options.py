"""What a caller may say with a request."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from headrace_events.inference import Message
from headrace_events.text import whole_text

Messages = str | Sequence[Message | Mapping[str, str]]


class ChatOptions(TypedDict, total=False):
    """Everything but the workload and the messages; all of it may be left out."""

    key: str | None
    """A user or a session: its requests stay on one side of a canary."""
    max_tokens: int | None
    temperature: float
    priority: Literal["normal", "high"]
    """`high` travels on topics of its own: it does not wait behind a backlog of the others."""
    timeout: float | None
    """Seconds, and the request's deadline; the client's own when not given."""
    trace: bool | None
    """True: have the trace recorded whatever the rate."""


def turns(messages: Messages) -> tuple[Message, ...]:
    """Messages as the events have them; a text is one turn of the user.

    Half an emoji, as of a text that was cut, becomes U+FFFD, as over HTTP: no event can carry it.
    """
    if isinstance(messages, str):
        return (Message(role="user", content=whole_text(messages)),)
    found = (m if isinstance(m, Message) else Message.model_validate(m) for m in messages)
    return tuple(Message(role=m.role, content=whole_text(m.content)) for m in found)
