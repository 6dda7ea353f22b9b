"""Ids and text from outside: what every part of the way can carry.

These bounds are not in the JSON Schemas of the events, where they would refuse what the log of an
older release holds; they are kept where a request or a feedback comes in.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_ID_CHARS = 128
"""Databases keep ids in columns of this length."""
# An id becomes a CloudEvents attribute: no control characters, no halves of surrogate pairs.
_UNFIT_ID = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNFIT_TEXT = re.compile(r"[\x00\ud800-\udfff]")


def fit_id(value: str) -> str:
    """Return an id that can travel; raise ValueError without quoting it."""
    if not 0 < len(value) <= MAX_ID_CHARS:
        raise ValueError(f"an id has 1 to {MAX_ID_CHARS} characters")
    if _UNFIT_ID.search(value):
        raise ValueError("an id has no control characters and no half of a surrogate pair")
    return value


def fit_text(value: str) -> str:
    """Return text that UTF-8 and every database can hold; raise ValueError without quoting it."""
    if _UNFIT_TEXT.search(value):
        raise ValueError("the text holds a zero or half of a surrogate pair (half an emoji)")
    return value


def whole_text(value: str) -> str:
    """Return text that UTF-8 can hold: half of a surrogate pair (a cut emoji) becomes U+FFFD.

    For what is only read and answered; what is kept as somebody's own words is refused instead.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def as_name(value: str, longest: int = 200) -> str:
    """Return a name as events can carry it: unfit characters become `_`, the middle is cut out."""
    fit = _UNFIT_ID.sub("_", value)
    return (
        fit
        if len(fit) <= longest
        else f"{fit[: longest - longest // 4 - 1]}…{fit[-longest // 4 :]}"
    )


Id = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"),
    AfterValidator(fit_id),
]
"""An id in the body of an HTTP request."""
CarriedId = Annotated[str, AfterValidator(fit_id)]
"""An id in an event from outside: one that does not fit goes to the dead letters at once."""
Text = Annotated[str, AfterValidator(fit_text)]
"""Text from outside that is kept in a database."""


def shortened(value: str, longest: int) -> str:
    """Return at most `longest` characters; what was cut off is an ellipsis."""
    return value if len(value) <= longest else value[: longest - 1] + "…"
