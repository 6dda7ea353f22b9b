"""Compares two JSON Schemas of one event type, field by field.

Both directions count: consumers of the release before read what the new one sends, and new
consumers read what the log still holds. A keyword that no rule knows may not change.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from headrace_events.compat.change import Finding
from headrace_events.compat.constraints import compare_values, shown
from headrace_events.compat.nodes import Branch, Root, branches, same

_OBJECT = {"properties", "required", "additionalProperties"}
_ARRAY = {"items", "prefixItems"}


def compare_schemas(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Finding]:
    """Return every difference, the JSON path first."""
    return list(_Walk(Root(old), Root(new)).node("$", old, new))


class _Walk:
    def __init__(self, old: Root, new: Root) -> None:
        self._old = old
        self._new = new
        self._within: list[tuple[str, str]] = []

    def node(self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Finding]:
        pair = (str(old.get("$ref")), str(new.get("$ref")))
        if "$ref" in old and pair in self._within:
            return  # a definition that contains itself is compared once
        self._within.append(pair)
        yield from self._node(path, old, new)
        self._within.pop()

    def _node(self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Finding]:
        before, after = branches(old, self._old), branches(new, self._new)
        gone, come = before.keys() - after.keys(), after.keys() - before.keys()
        if gone or come:
            yield _type_changed(path, before, after, narrowed=bool(gone) and not come)
        for key in before:
            if key in after:
                yield from self._branch(path, before[key], after[key])
        if "default" in old and "default" in new and old["default"] != new["default"]:
            yield Finding(
                path,
                "default changed",
                "note",
                "the reader's own default fills a field that was left out",
                was=shown(old["default"]),
                now=shown(new["default"]),
            )

    def _branch(self, path: str, old: Branch, new: Branch) -> Iterator[Finding]:
        yield from compare_values(path, old.schema, new.schema, ignore=_OBJECT | _ARRAY)
        if old.kind == "object":
            yield from self._object(path, old.schema, new.schema)
        if old.kind == "array":
            yield from self._array(path, old.schema, new.schema)

    def _object(
        self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[Finding]:
        before, after = old.get("properties", {}), new.get("properties", {})
        demanded, demands = set(old.get("required", ())), set(new.get("required", ()))
        closed = old.get("additionalProperties") is False
        added = [name for name in after if name not in before]
        for name in before:
            if name not in after:
                to = self._renamed(before[name], added, after)
                yield _removed(f"{path}.{name}", name in demanded, to, self._kind(before[name]))
                continue
            if name in demands and name not in demanded:
                yield _required(f"{path}.{name}", "an optional field became required")
            if name in demanded and name not in demands:
                yield Finding(
                    f"{path}.{name}",
                    "a required field became optional",
                    "consumers_first",
                    "consumers of the baseline refuse an event that leaves it out",
                    "consumers",
                )
            yield from self.node(f"{path}.{name}", before[name], after[name])
        for name in added:
            if name in demands:
                yield _required(f"{path}.{name}", "a new required field")
            else:
                yield _added(f"{path}.{name}", closed)
        yield from self._additional(path, old, new)

    def _additional(
        self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[Finding]:
        before = old.get("additionalProperties", True)
        after = new.get("additionalProperties", True)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from self.node(f"{path}.*", before, after)
        elif before is False and after is True:
            yield Finding(path, "unknown fields are ignored now, not refused", "additive")
        elif before != after:
            yield Finding(
                path,
                "which further fields are allowed",
                "breaking",
                "records of the baseline may have fields that are refused now",
                "producers",
                shown(before),
                shown(after),
            )

    def _array(
        self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[Finding]:
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        if len(before) != len(after):
            yield Finding(
                path,
                "the number of places in a tuple",
                "breaking",
                "a consumer of either release refuses the other's",
                "consumers",
                str(len(before)),
                str(len(after)),
            )
        for index, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from self.node(f"{path}[{index}]", one, other)
        items, others = old.get("items", {}), new.get("items", {})
        if isinstance(items, Mapping) and isinstance(others, Mapping):
            yield from self.node(f"{path}[*]", items, others)
        elif items != others:
            yield Finding(
                path, "`items`", "breaking", "no rule knows this change", "consumers",
                shown(items), shown(others),
            )  # fmt: skip

    def _renamed(
        self, gone: Mapping[str, Any], added: list[str], after: Mapping[str, Any]
    ) -> str | None:
        """Return the one new field that looks exactly like the field that is gone."""
        alike = [name for name in added if same(gone, self._old, after[name], self._new)]
        return alike[0] if len(alike) == 1 else None

    def _kind(self, node: Mapping[str, Any]) -> str:
        return " or ".join(sorted(branch.kind for branch in branches(node, self._old).values()))


def _type_changed(
    path: str, before: Mapping[str, Branch], after: Mapping[str, Branch], *, narrowed: bool
) -> Finding:
    why = (
        "what producers of the baseline send, and what the log holds, is refused"
        if narrowed
        else "consumers of the baseline refuse the new type"
    )
    return Finding(
        path,
        "type changed",
        "breaking",
        why,
        "producers" if narrowed else "consumers",
        " or ".join(sorted(before)),
        " or ".join(sorted(after)),
    )


def _removed(path: str, required: bool, renamed_to: str | None, kind: str) -> Finding:
    what = f"field renamed to `{renamed_to}`" if renamed_to else "field removed"
    why = (
        "consumers of the baseline require it and refuse an event without it"
        if required
        else "consumers of the baseline read it, and would take its default for the truth"
    )
    was = f"{kind}, {'required' if required else 'optional'}"
    return Finding(path, what, "breaking", why, "consumers", was)


def _required(path: str, what: str) -> Finding:
    return Finding(
        path,
        what,
        "breaking",
        "producers of the baseline do not send it, nor does the log hold it: such records are "
        "refused; give the field a default",
        "producers",
    )


def _added(path: str, closed: bool) -> Finding:
    if not closed:
        return Finding(path, "a new optional field", "additive", "old consumers ignore it")
    return Finding(
        path,
        "a new optional field of a closed object",
        "consumers_first",
        "consumers of the baseline refuse an event with a field that they do not know here",
        "consumers",
    )
