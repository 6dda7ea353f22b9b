"""A deterministic YAML writer for what the export makes: maps, lists, scalars; no dependency."""

import json
import re
from collections.abc import Mapping
from typing import Any

# Left bare: text that no YAML 1.1 or 1.2 reader takes for a number, a boolean or syntax.
_BARE = re.compile(r"[A-Za-z][A-Za-z0-9 ._/-]*(?<! )")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def dump(document: Mapping[str, Any]) -> str:
    """Return `document` as YAML in its own order."""
    return "".join(_entry(key, value, "") for key, value in document.items())


def _entry(key: str, value: Any, indent: str) -> str:
    head = f"{indent}{_scalar(key)}:"
    if isinstance(value, Mapping):
        if not value:
            return f"{head} {{}}\n"
        return f"{head}\n" + "".join(_entry(k, v, indent + "  ") for k, v in value.items())
    if isinstance(value, list | tuple):
        if not value:
            return f"{head} []\n"
        return f"{head}\n" + "".join(_item(item, indent + "  ") for item in value)
    return f"{head} {_scalar(value)}\n"


def _item(value: Any, indent: str) -> str:
    if not isinstance(value, Mapping):
        return f"{indent}- {_scalar(value)}\n"
    if not value:
        return f"{indent}- {{}}\n"
    lines = "".join(_entry(k, v, indent + "  ") for k, v in value.items())
    return f"{indent}- {lines[len(indent) + 2 :]}"


def _scalar(value: Any) -> str:
    if value is not None and not isinstance(value, str | int | float):
        raise TypeError(f"a {type(value).__name__} cannot be written here")
    if isinstance(value, str) and _BARE.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)  # every JSON scalar is a YAML scalar
