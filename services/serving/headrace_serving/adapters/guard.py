"""Guardrails over HTTP, for the requests that enter by HTTP. No answer is no permission."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

import httpx2
from pydantic import BaseModel, ValidationError

from headrace_events.inference import Message
from headrace_serving.core.ending import Stage, Unanswered, guard_down

# Guardrails closes a connection that was idle for five seconds (uvicorn's default). With the same
# time here, both ends decide at once, and a request on its way meets a closed door.
_IDLE_SECONDS = 2.0


class Verdict(BaseModel):
    """What to go on with."""

    action: Literal["pass", "redact", "block"]
    check: str | None = None
    labels: tuple[str, ...] = ()
    messages: tuple[Message, ...] | None = None
    text: str | None = None

    @property
    def detail(self) -> str:
        """Why, without quoting the text."""
        return f"check {self.check}: {', '.join(self.labels)}"


class GuardClient:
    """One pooled client."""

    def __init__(self, url: str, timeout: float) -> None:
        # It logs a line for each request, of which there are two or more to an answer.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        self._client = httpx2.AsyncClient(
            base_url=url,
            timeout=timeout,
            limits=httpx2.Limits(
                max_connections=64, max_keepalive_connections=16, keepalive_expiry=_IDLE_SECONDS
            ),
            trust_env=False,  # a proxy for the outside has no business between two services
        )

    async def input(
        self, workload: str, request_id: str, messages: Sequence[Message], traceparent: str
    ) -> Verdict:
        """The verdict on a request; raise Unanswered when there is none."""
        body = {"messages": [message.model_dump() for message in messages]}
        return await self._ask("input", workload, request_id, body, traceparent)

    async def output(
        self, workload: str, request_id: str, text: str, traceparent: str, *, final: bool = True
    ) -> Verdict:
        """The verdict on an answer, or on all there is of it so far; raise Unanswered if none."""
        body = {"text": text, "final": final}
        return await self._ask("output", workload, request_id, body, traceparent)

    async def close(self) -> None:
        """Close the pool."""
        await self._client.aclose()

    async def _ask(
        self, stage: Stage, workload: str, request_id: str, body: dict[str, Any], traceparent: str
    ) -> Verdict:
        request = self._client.build_request(
            "POST",
            f"/v1/guard/{stage}",
            json={"workload": workload, "request_id": request_id, **body},
            headers={"traceparent": traceparent},
        )
        try:
            try:
                response = await self._client.send(request)
            except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
                # The connection was closed before an answer: the process stops, or thought it idle.
                # A check changes nothing, so it may be asked again; a timeout may not take twice.
                response = await self._client.send(request)
            response.raise_for_status()
            return Verdict.model_validate_json(response.content)
        except httpx2.HTTPError as error:
            raise Unanswered(guard_down(stage, type(error).__name__)) from None
        except ValidationError:
            raise Unanswered(guard_down(stage, "the verdict does not fit")) from None
