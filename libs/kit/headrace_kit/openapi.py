"""The OpenAPI document: every operation says how its errors look."""

from typing import Any

from fastapi import FastAPI

from headrace_kit.problems import ErrorBody

_REF = "#/components/schemas/{model}"
_STATUSES = {"4XX": "The request is at fault", "5XX": "The service is at fault"}
_NOT_OURS = ("HTTPValidationError", "ValidationError")
"""What the framework would answer instead."""


def document_errors(api: FastAPI) -> None:
    """Add `4XX` and `5XX` to every operation, beside what a route says itself."""
    generate = api.openapi

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            _add_errors(generate())
        assert api.openapi_schema is not None  # noqa: S101 - `generate` keeps it there
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign] # as FastAPI's manual does


def _add_errors(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _NOT_OURS:
        schemas.pop(name, None)
    own = ErrorBody.model_json_schema(ref_template=_REF)
    schemas.update(own.pop("$defs"))
    schemas["ErrorBody"] = own
    content = {"application/json": {"schema": {"$ref": _REF.format(model="ErrorBody")}}}
    for path in document["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            responses.pop("422", None)
            for statuses, description in _STATUSES.items():
                responses.setdefault(statuses, {"description": description, "content": content})
