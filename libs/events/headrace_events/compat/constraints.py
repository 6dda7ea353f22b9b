"""What bounds a value: enumerations, limits, patterns. Narrower refuses, wider needs consumers."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from headrace_events.compat.change import Finding
from headrace_events.compat.nodes import ANNOTATIONS

_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_EXACT = ("pattern", "format", "multipleOf", "uniqueItems")
_KNOWN = ANNOTATIONS | {*_LOWER, *_UPPER, *_EXACT, "enum"}

_NARROWED = "what producers of the baseline may send, and what the log holds, is refused"
_WIDENED = "consumers of the baseline refuse a value that only the new bound allows"


def compare_values(
    path: str, old: Mapping[str, Any], new: Mapping[str, Any], ignore: set[str]
) -> Iterator[Finding]:
    """Return how the allowed values differ; keywords in `ignore` are compared elsewhere."""
    yield from _enumeration(path, old.get("enum"), new.get("enum"))
    for words, rises in ((_LOWER, 1), (_UPPER, -1)):
        for word in words:
            before, after = old.get(word), new.get(word)
            if before != after:
                narrower = before is None or (after is not None and (after - before) * rises > 0)
                yield _bound(path, word, before, after, narrower)
    for word in _EXACT:
        if old.get(word) != new.get(word):
            yield _bound(path, word, old.get(word), new.get(word), new.get(word) is not None)
    for word in sorted((old.keys() | new.keys()) - _KNOWN - ignore):
        if old.get(word) != new.get(word):
            yield Finding(
                path,
                f"`{word}`",
                "breaking",
                "no rule knows this keyword, so nobody can say that it is safe",
                "consumers",
                shown(old.get(word)),
                shown(new.get(word)),
            )


def shown(value: Any) -> str:
    """Return a value as one short line."""
    text = "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


_LONGEST = 100


def _enumeration(path: str, old: list[Any] | None, new: list[Any] | None) -> Iterator[Finding]:
    if old is None and new is None:
        return
    if old is None or new is None:
        yield _bound(path, "enum", old, new, narrower=old is None)
        return
    for value in old:
        if value not in new:
            yield Finding(
                path,
                f"enum value {shown(value)} removed",
                "breaking",
                _NARROWED,
                "producers",
                shown(old),
                shown(new),
            )
    for value in new:
        if value not in old:
            yield Finding(
                path,
                f"enum value {shown(value)} added",
                "consumers_first",
                "consumers of the baseline parse strictly: an event with it goes to their dead "
                "letters",
                "consumers",
                shown(old),
                shown(new),
            )


def _bound(path: str, word: str, old: Any, new: Any, narrower: bool) -> Finding:
    return Finding(
        path,
        f"`{word}` {'narrowed' if narrower else 'widened'}",
        "breaking" if narrower else "consumers_first",
        _NARROWED if narrower else _WIDENED,
        "producers" if narrower else "consumers",
        shown(old),
        shown(new),
    )
