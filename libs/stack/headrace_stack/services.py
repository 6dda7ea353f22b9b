"""The eight services as data: what runs, what it needs, and which HTTP paths are its own."""

from dataclasses import dataclass

from headrace_stack.errors import StackError

KAFKA, MLFLOW, RAY = "kafka", "mlflow", "ray"
GATEWAY = "gateway"
"""A part of every stack."""
ENGINES = (KAFKA, MLFLOW, RAY)


@dataclass(frozen=True)
class Service:
    """One service process."""

    name: str
    routes: tuple[str, ...]
    """Path prefixes behind the base URL; `/` takes what no other has."""
    needs: tuple[str, ...] = (KAFKA,)
    """Engines without which it cannot do its work."""
    waits_for: tuple[str, ...] = (KAFKA,)
    """Engines that must be ready before it starts; it retries the others itself."""

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"headrace_{self.name.replace('-', '_')}"


_ALL = (KAFKA, MLFLOW, RAY)
_ON_RAY = (KAFKA, RAY)

SERVICES: tuple[Service, ...] = (
    Service("ingest", ("/v1/files", "/v1/feedback", "/sources", "/records")),
    Service("data-quality", ("/datasets",)),
    Service("trainer", ("/v1/fine_tuning",), needs=_ALL, waits_for=_ON_RAY),
    Service("registry", ("/models", "/lineage"), needs=(KAFKA, MLFLOW)),
    Service("evaluator", ("/evaluations",), needs=_ALL, waits_for=_ON_RAY),
    Service(
        "serving",
        ("/v1/chat", "/v1/completions", "/v1/models", "/rollouts"),
        needs=_ON_RAY,
        waits_for=_ON_RAY,
    ),
    Service("guardrails", ("/v1/moderations", "/policies")),
    Service("monitor", ("/",)),
)
BODY_MIB = 16
"""The largest body of a request, for all paths but those of LARGE_BODIES."""
LARGE_BODIES = {"/v1/files": 256}
"""In MiB, a little more than ingest's own limit, which names the field that is too large."""
BY_NAME = {service.name: service for service in SERVICES}


def choose(
    only: tuple[str, ...] | None, without: tuple[str, ...] = ()
) -> tuple[frozenset[str], tuple[Service, ...]]:
    """The engines and services of a stack with `only` these parts and what they need.

    `without` leaves parts out although others need them: those run elsewhere, or are not wanted.
    """
    unknown = sorted({*(only or ()), *without} - set(BY_NAME) - set(ENGINES))
    if unknown:
        known = ", ".join((*ENGINES, *BY_NAME))
        raise StackError(f"No part of the stack is called {', '.join(unknown)}. Parts: {known}.")
    wanted = set(only) if only else {*ENGINES, *BY_NAME}
    services = tuple(s for s in SERVICES if s.name in wanted and s.name not in without)
    engines = {engine for engine in ENGINES if engine in wanted}
    engines.update(engine for service in services for engine in service.needs)
    return frozenset(engines - set(without)), services


def owner_of(path: str) -> str:
    """The name of the service with the longest prefix of `path`, cut at slashes."""
    return max(
        (len(route), service.name)
        for service in SERVICES
        for route in service.routes
        if route in ("/", path) or path.startswith(f"{route}/")
    )[1]
