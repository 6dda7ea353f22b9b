"""Wires guardrails: two streams and the HTTP API."""

from headrace_events.inference import (
    InferenceGenerated,
    InferencePartGenerated,
    InferenceRequested,
)
from headrace_guardrails.api import router
from headrace_guardrails.events import InputHandler, OutputHandler
from headrace_guardrails.settings import Settings
from headrace_kit import Service
from headrace_kit.too_large import too_large


def build(settings: Settings | None = None) -> Service:
    """Build the service; nothing runs yet."""
    settings = settings or Settings()
    service = Service("guardrails", settings)
    lookup = service.workloads.get
    service.stream(
        "input",
        [InferenceRequested],
        InputHandler(lookup, settings.guard.wait_for_manifest_seconds),
        max_records=settings.guard.max_records,
        refuse=too_large("guardrails", "input"),
    )
    service.stream(
        "output",
        [InferenceGenerated, InferencePartGenerated],
        OutputHandler(lookup),
        max_records=settings.guard.max_records,
        refuse=too_large("guardrails", "output"),
    )
    service.api.include_router(router(service))
    return service
