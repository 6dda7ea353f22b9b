"""Requests whose caller chose the version: which version that is, and why it may be none. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from headrace_events.references import ModelRef
from headrace_serving.core.ending import Ending, Unanswered
from headrace_serving.core.routing import BASE_VERSION, Choice, Route

AT = "@"
_NAMED = 20
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")

Standing = Literal["known", "rejected", "retired"]


@dataclass(frozen=True, slots=True)
class Known:
    """A version as the registry's events tell of it; only one that is `known` may be served."""

    model: ModelRef
    standing: Standing
    reason: str
    registered_at: datetime


def split(model: str) -> tuple[str, str | None]:
    """`support-tickets@2` -> workload and version; without a version the route decides."""
    workload, at, version = model.partition(AT)
    return workload, version if at else None


def served(known: Sequence[Known], route: Route) -> list[ModelRef]:
    """The versions that a request may be pinned to, the newest first; the base is always one.

    Those of the route are among them even if no event told of their registration here (a database
    of an older release).
    """
    refused = {one.model.version for one in known if one.standing != "known"}
    found = {one.model.version: one.model for one in known if one.standing == "known"}
    canary = (route.canary.candidate, route.canary.incumbent) if route.canary else ()
    for model in (route.production, *canary):
        if model and model.version != BASE_VERSION and model.version not in refused:
            found.setdefault(model.version, model)
    return sorted(found.values(), key=lambda model: _place(model.version), reverse=True)


def pin(version: str, known: Sequence[Known], route: Route, base: str) -> Choice:
    """The version that a caller chose; raise Unanswered, his fault, where it may not be served."""
    if version == BASE_VERSION:
        model = ModelRef(name=route.workload, version=BASE_VERSION, base=base)
        return Choice(model, "base", pinned=True)
    models = served(known, route)
    for model in models:
        if model.version == version:
            candidate = route.canary.candidate.version if route.canary else None
            return Choice(model, "canary" if version == candidate else "production", pinned=True)
    for one in known:
        if one.model.version == version:
            why = f" ({one.reason})" if one.reason else ""
            raise _unserved(f"version {version} was {one.standing}{why}", route, models)
    # Only what could be a version is shown again: the rest is text that somebody sent.
    named = f"version {version}" if _VERSION.fullmatch(version) else "such version"
    raise _unserved(f"there is no {named} of {route.workload}", route, models)


def refused(choice: Choice, why: str) -> Unanswered:
    """A pinned version cannot be loaded: its artefact is gone, or is not the registered one."""
    detail = f"version {choice.model.version} of {choice.model.name} cannot be served: {why}"
    return Unanswered(_ending(detail), choice)


def _unserved(what: str, route: Route, models: Sequence[ModelRef]) -> Unanswered:
    versions = [*(model.version for model in models[:_NAMED]), BASE_VERSION]
    more = ", …" if len(models) > _NAMED else ""
    names = ", ".join(f"{route.workload}{AT}{version}" for version in versions)
    return Unanswered(_ending(f"{what}; it can be asked: {names}{more}"))


def _ending(detail: str) -> Ending:
    return Ending("invalid_request", "model_not_found", "caller", detail)


def _place(version: str) -> tuple[int, str]:
    return (int(version) if version.isdecimal() else -1, version)
