"""The one shape of a list over HTTP: `{"data": [...], "next": cursor}`, null at the end."""

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import HTTPException, Query
from pydantic import BaseModel

Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=500, description="at most so many")]
Cursor = Annotated[str | None, Query(max_length=512, description="the `next` of the page before")]


class Page(BaseModel, Generic[Item]):
    """A part of a list. `next` asks for what follows; null: there is no more."""

    data: list[Item]
    next: str | None = None


def cursor(*keys: str | int | datetime) -> str:
    """Return where a page ended, by the keys that order the list."""
    plain = [key.isoformat() if isinstance(key, datetime) else key for key in keys]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def read_cursor(text: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """Return the keys (str, int or datetime, as `kinds` says); None without a cursor.

    A cursor that was not made by `cursor` for the same list is the caller's error: 400.
    """
    if text is None:
        return None
    try:
        keys = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
        return tuple(_key(key, kind) for key, kind in zip(keys, kinds, strict=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise HTTPException(
            400, "cursor: it is not one of this list's; leave it out to begin anew"
        ) from None


def _key(key: Any, kind: type) -> Any:
    if kind is datetime:
        return datetime.fromisoformat(key)
    if type(key) is not kind:  # bool is an int for Python
        raise TypeError
    if isinstance(key, int) and not -(2**63) <= key < 2**63:
        raise ValueError  # no database's column holds it
    if isinstance(key, str):
        if "\x00" in key:
            raise ValueError
        key.encode()  # half an emoji: no database takes it
    return key
