"""HTTP as the `openai` package speaks it, and the routes and canaries of the moment."""

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from headrace_events.workload import Manifest
from headrace_kit import Service
from headrace_serving.adapters import routes as stored
from headrace_serving.adapters.routes import RouteCache
from headrace_serving.answering import Answering
from headrace_serving.chat import Chat
from headrace_serving.core.routing import Canary
from headrace_serving.openai_errors import ApiError
from headrace_serving.openai_models import Models
from headrace_serving.openai_requests import ChatRequest, CompletionRequest

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, whole or as server-sent events",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    }
}

Key = Annotated[str | None, Header(alias="x-headrace-key", max_length=256)]
Deadline = Annotated[AwareDatetime | None, Header(alias="x-headrace-deadline")]


def router(service: Service, chat: Chat, cache: RouteCache, timeout_seconds: float) -> APIRouter:
    """The routes of serving."""
    api = APIRouter()
    answering = Answering(service, chat, timeout_seconds)
    openai_models = Models(service, cache)

    @api.post("/v1/chat/completions", tags=["openai"], response_model=None, responses=_ANSWERS)
    async def chat_completions(
        body: ChatRequest, key: Key = None, deadline: Deadline = None
    ) -> Response:
        """Answer a conversation; `model` is the workload, or `workload@version`."""
        return answering(body, key, deadline)

    @api.post("/v1/completions", tags=["openai"], response_model=None, responses=_ANSWERS)
    async def completions(
        body: CompletionRequest, key: Key = None, deadline: Deadline = None
    ) -> Response:
        """Answer a prompt as one user turn; `model` is the workload, or `workload@version`."""
        return answering(body, key, deadline)

    @api.get("/v1/models", tags=["openai"])
    async def models(versions: bool = False) -> dict[str, Any]:
        """Workloads as models, with the versions that answer them.

        `versions=true` lists beside them what a request may be pinned to, as `name@version`.
        """
        return {"object": "list", "data": await openai_models.cards(versions=versions)}

    @api.get("/v1/models/{name}", tags=["openai"])
    async def model(name: str) -> dict[str, Any]:
        """One workload as a model, or one version of it: `name@version`."""
        return await openai_models.card(name)

    @api.get("/rollouts", tags=["rollouts"])
    async def rollouts() -> dict[str, Any]:
        """Every workload's route, and the canaries there were."""
        async with service.reading() as session:
            past = await stored.history(session)
        return {
            "routes": [_route(m, cache) for m in service.workloads.all()],
            "rollouts": [
                {
                    "rollout_id": row.rollout_id,
                    "workload": row.workload,
                    "version": row.version,
                    "state": row.state,
                    "step": row.step,
                    "weight": row.weight,
                    "reason": row.reason,
                    "started_at": row.started_at.isoformat(),
                    "updated_at": row.updated_at.isoformat(),
                }
                for row in past
            ],
        }

    return api


def answer_errors(app: FastAPI) -> None:
    """Let the app answer ApiError in OpenAI's shape."""

    async def handler(_request: HttpRequest, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)  # noqa: S101 - registered for this class only
        return error.response()

    app.add_exception_handler(ApiError, handler)


def _route(manifest: Manifest, cache: RouteCache) -> dict[str, Any]:
    route = cache.get(manifest.metadata.name)
    return {
        "workload": route.workload,
        "base": manifest.spec.base,
        "production": route.production.version if route.production else "base",
        "canary": _canary(route.canary) if route.canary else None,
    }


def _canary(canary: Canary) -> dict[str, Any]:
    return {
        "rollout_id": canary.rollout_id,
        "version": canary.candidate.version,
        "incumbent": canary.incumbent.version,
        "state": canary.state,
        "step": canary.step,
        "steps": list(canary.steps),
        "weight": canary.weight,
    }
