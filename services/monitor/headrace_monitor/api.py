"""HTTP: the console, its state and stream, windows and the audit chain."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape

from headrace_kit import Service
from headrace_monitor.adapters import audit
from headrace_monitor.console import edges
from headrace_monitor.console.state import ConsoleState
from headrace_monitor.core.windows import WindowBoard
from headrace_monitor.live import Live, dumps
from headrace_monitor.watches.ledger import shown
from headrace_monitor.watches.verification import ChainCheck

_CONSOLE = Path(__file__).parent / "console"
# The page holds everything itself; nothing is loaded from elsewhere.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_EVENTS = "text/event-stream"
_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def _json(payload: Any) -> Response:
    return Response(dumps(payload), media_type="application/json")


def console_router(service: Service, state: ConsoleState, live: Live) -> APIRouter:
    """Return the page and what feeds it."""
    router = APIRouter(tags=["console"])
    pages = Environment(
        loader=FileSystemLoader(_CONSOLE / "templates"), autoescape=select_autoescape()
    )
    service.api.mount("/console/static", StaticFiles(directory=_CONSOLE / "static"))

    @router.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        """Show the console; it carries the state of now and updates itself."""
        template = pages.get_template("console.html")
        body = template.render(
            state=await _embedded(state), hops=edges.hops(), version=service.version
        )
        return HTMLResponse(body, headers=_PAGE_HEADERS)

    @router.get("/console/state")
    async def current() -> Response:
        """Return what the console shows."""
        return _json(await state.build())

    @router.get(
        "/console/events",
        response_class=Response,
        responses={200: {"description": "Without an end", "content": {_EVENTS: {}}}},
    )
    async def stream() -> StreamingResponse:
        """Stream control events, traffic pulses and state changes (server-sent events)."""
        return StreamingResponse(live.read(), media_type=_EVENTS, headers=_STREAM_HEADERS)

    return router


async def _embedded(state: ConsoleState) -> str:
    # Inside <script type="application/json">: only `</` could end the element early.
    return dumps(await state.build()).replace("<", "\\u003c")


def figures_router(service: Service, board: WindowBoard, check: ChainCheck) -> APIRouter:
    """Return windows and the audit chain."""
    router = APIRouter(tags=["figures"])

    @router.get("/metrics-api/windows")
    async def windows(
        seconds: Annotated[int, Query(ge=10, le=3600)] = 300, workload: str | None = None
    ) -> Response:
        """Return requests, errors, latency and ratings per workload, version and arm."""
        found = []
        for name in [workload] if workload else board.workloads():
            windows = board.windows(seconds, workload=name)
            found += [{**w.figures(), "points": [p._asdict() for p in w.points]} for w in windows]
            await asyncio.sleep(0)  # others have the event loop between two workloads
        return _json({"seconds": seconds, "windows": found})

    @router.get("/audit")
    async def chain(
        limit: Annotated[int, Query(ge=0, le=1000)] = 100,
        workload: str | None = None,
        progress: Annotated[bool, Query(description="list progress of trainings too")] = False,
    ) -> Response:
        """Return what the newest check of the whole chain found, and its newest entries.

        Whoever asks starts a check; all who ask share it. A long chain is read anew at most one
        minute in twenty: `checked_at` says when from the beginning, and what came since is always
        checked. `intact` is null while the first check still runs; `checking` is how far it is.
        Nobody decided the progress of a training: it is in the chain, and in this list only where
        it is asked for.
        """
        checked = await check.result()
        async with service.reading() as session:
            newest = await audit.newest(session, limit, workload, progress=progress)
        found = checked.found if checked else None
        return _json(
            {
                "intact": found.intact if found else None,
                "entries": found.entries if found else check.progress,
                "head": found.head if found else None,
                "broken_at": found.broken_at if found else None,
                "checked_at": checked.begun_at if checked else None,
                "checking": check.progress if checked is None else None,
                "newest": [
                    {**shown(one), "previous": one.previous, "hash": one.hash} for one in newest
                ],
            }
        )

    return router
