"""Write the table of manifest.md from the model: `python docs/guides/manifest_table.py`."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from headrace_events.workload import Manifest

PAGE = Path(__file__).with_name("manifest.md")
START, END = "<!-- fields -->\n", "<!-- /fields -->\n"


def table() -> str:
    """Return the table of every field in `spec`."""
    lines = ["| field | type | default | meaning |", "|---|---|---|---|"]
    spec = Manifest.model_fields["spec"].annotation
    lines += [
        f"| `{path}` | {kind} | {default} | {text} |" for path, kind, default, text in _rows(spec)
    ]
    return "\n".join(lines) + "\n"


def _rows(model: Any, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        inner, many = _section(field.annotation)
        if inner is None:
            yield path, _type(field.annotation), _default(field), _meaning(field)
            continue
        if many:
            yield (
                f"{path}[]",
                "list",
                _default(field, many=True),
                (inner.__doc__ or "").split("\n")[0],
            )
        yield from _rows(inner, f"{path}[]." if many else f"{path}.")


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in get_args(annotation):
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            return argument, True
    return None, False


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(_type(a) for a in arguments if a is not type(None))
    if origin is tuple:
        kinds = [_type(a) for a in arguments if a is not Ellipsis]
        return f"list of {kinds[0]}" if Ellipsis in arguments else f"[{', '.join(kinds)}]"
    return {"str": "text", "int": "integer", "float": "number"}.get(annotation.__name__, "?")


def _default(field: FieldInfo, *, many: bool = False) -> str:
    if field.is_required():
        return "(required)"
    value = field.default
    if many:
        value = [item.model_dump() for item in value]
        return "`[]`" if not value else f"`[{{metric: {value[0]['metric']}}}]`"
    if value is None:
        return "none"
    return f"`{list(value)}`".replace("'", "") if isinstance(value, tuple) else f"`{value}`"


def _meaning(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {value}"
        for item in _constraints(field)
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if (value := getattr(item, name, None)) is not None
    ]
    return "; ".join(part for part in (field.description or "", ", ".join(bounds)) if part)


def _constraints(field: FieldInfo) -> list[Any]:
    return [*field.metadata, *getattr(field.annotation, "__metadata__", ())]


def page(text: str) -> str:
    """Return the page with its table replaced."""
    before, rest = text.split(START)
    return before + START + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
