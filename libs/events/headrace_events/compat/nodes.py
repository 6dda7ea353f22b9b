"""JSON Schema nodes made comparable: references followed, unions split, `const` as `enum`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "deprecated", "$comment", "$schema", "$id"}
    | {"$defs", "x-topic"}
)


class Root:
    """A whole schema, for following its references."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions = schema.get("$defs", {})

    def resolve(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what `node` stands for; keywords beside a reference are kept."""
        merged = dict(node)
        while "$ref" in merged:
            name = str(merged.pop("$ref")).rpartition("/")[2]
            merged = {**self._definitions[name], **merged}
        return merged


@dataclass(frozen=True)
class Branch:
    """One alternative of a node, with one type."""

    kind: str
    schema: Mapping[str, Any]


def branches(node: Mapping[str, Any], root: Root) -> dict[str, Branch]:
    """Return the alternatives of a node by what tells them apart: the type, of objects the name."""
    found = [one for alternative in _alternatives(node, root) for one in _typed(alternative)]
    kinds = [branch.kind for branch in found]
    keys = {}
    for branch in found:
        alone = kinds.count(branch.kind) == 1
        key = branch.kind if alone else f"{branch.kind} {branch.schema.get('title', '')}".strip()
        keys[key] = branch
    return keys


def same(one: Mapping[str, Any], of: Root, other: Mapping[str, Any], beside: Root) -> bool:
    """Whether two nodes say the same, whatever they are called."""
    return bool(_bare(one, of) == _bare(other, beside))


def _alternatives(node: Mapping[str, Any], root: Root) -> list[Mapping[str, Any]]:
    resolved = root.resolve(node)
    for word in ("anyOf", "oneOf"):
        if word in resolved:
            return [one for part in resolved[word] for one in _alternatives(part, root)]
    return [resolved]


def _typed(node: Mapping[str, Any]) -> list[Branch]:
    schema = {key: value for key, value in node.items() if key != "type"}
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    kind = node.get("type")
    if isinstance(kind, list):
        return [Branch(str(one), schema) for one in kind]
    return [Branch(str(kind) if kind else "anything", schema)]


def _bare(node: Mapping[str, Any], root: Root, depth: int = 0) -> Any:
    if depth > _DEEP_ENOUGH:
        return None
    resolved = root.resolve(node)
    return {
        key: _bare_value(key, value, root, depth)
        for key, value in resolved.items()
        if key not in ANNOTATIONS
    }


def _bare_value(key: str, value: Any, root: Root, depth: int) -> Any:
    if key == "properties":
        return {name: _bare(field, root, depth + 1) for name, field in value.items()}
    if isinstance(value, Mapping):
        return _bare(value, root, depth + 1)
    if isinstance(value, list):
        return [_bare(v, root, depth + 1) if isinstance(v, Mapping) else v for v in value]
    return value


_DEEP_ENOUGH = 12
