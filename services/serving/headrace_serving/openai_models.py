"""Workloads and their versions as OpenAI's models: `support-tickets`, `support-tickets@2`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from headrace_events.references import ModelRef
from headrace_events.workload import Manifest
from headrace_kit import Service
from headrace_serving.adapters.routes import RouteCache
from headrace_serving.adapters.versions import all_known
from headrace_serving.core.ending import Unanswered
from headrace_serving.core.pinning import AT, Known, pin, served, split
from headrace_serving.core.routing import BASE_VERSION, Route, choose
from headrace_serving.openai_errors import api_error, no_such_model


class Models:
    """What `/v1/models` lists, and what one of them is."""

    def __init__(self, service: Service, routes: RouteCache) -> None:
        self._service = service
        self._routes = routes

    async def cards(self, *, versions: bool) -> list[dict[str, Any]]:
        """All workloads by name; with `versions` each followed by what it can be pinned to."""
        async with self._service.reading() as session:
            known = await all_known(session)
        found: list[dict[str, Any]] = []
        for manifest in self._service.workloads.all():
            line = self._line(manifest, known)
            found.append(line.card())
            if versions:
                found += [line.version_card(model) for model in line.models()]
        return found

    async def card(self, name: str) -> dict[str, Any]:
        """One workload, or one version of it; raise the ApiError that says which there are."""
        workload, version = split(name)
        manifest = self._service.workloads.get(workload)
        if manifest is None:
            raise no_such_model(workload, [m.metadata.name for m in self._service.workloads.all()])
        async with self._service.reading() as session:
            line = self._line(manifest, await all_known(session, workload))
        if version is None:
            return line.card()
        try:
            choice = pin(version, line.known, line.route, manifest.spec.base)
        except Unanswered as error:
            raise api_error(error.ending) from None
        return line.version_card(choice.model)

    def _line(self, manifest: Manifest, known: Mapping[str, Sequence[Known]]) -> "_Line":
        name = manifest.metadata.name
        applied_at = self._service.workloads.applied_at(name)
        return _Line(manifest, self._routes.get(name), known.get(name, ()), applied_at)


class _Line:
    """A workload and its versions."""

    def __init__(
        self, manifest: Manifest, route: Route, known: Sequence[Known], applied_at: datetime | None
    ) -> None:
        self.route = route
        self.known = known
        self._manifest = manifest
        self._registered_at = {one.model.version: one.registered_at for one in known}
        # The manifest may have been applied anew since.
        times = [*self._registered_at.values(), *([applied_at] if applied_at else [])]
        self._since = min(times, default=None)

    def models(self) -> list[ModelRef]:
        """What a request may be pinned to, the newest first, the base last."""
        name, base = self.route.workload, self._manifest.spec.base
        return [
            *served(self.known, self.route),
            ModelRef(name=name, version=BASE_VERSION, base=base),
        ]

    def card(self) -> dict[str, Any]:
        """The workload, with the version that answers it now and the ids of all."""
        name, base = self.route.workload, self._manifest.spec.base
        canary = self.route.canary
        answers = choose(Route(name, self.route.production), base, "", None)
        return {
            **self._common(name, self._since),
            "base": base,
            "version": answers.model.version,
            "canary": {"version": canary.candidate.version, "weight": canary.weight}
            if canary
            else None,
            "versions": [f"{name}{AT}{model.version}" for model in self.models()],
        }

    def version_card(self, model: ModelRef) -> dict[str, Any]:
        """One version; the base is as old as the workload."""
        created = self._registered_at.get(model.version) or self._since
        name = f"{self.route.workload}{AT}{model.version}"
        return {**self._common(name, created), "base": model.base, "version": model.version}

    def _common(self, name: str, created: datetime | None) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            # OpenAI's has no null: 0 only where an older release took the manifest in, untimed.
            "created": int(created.timestamp()) if created else 0,
            "owned_by": self._manifest.metadata.owner,
        }
