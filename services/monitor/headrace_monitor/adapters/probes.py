"""Asks each service for its readiness."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import aiohttp

_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What a service's /readyz said, or that nobody answered."""

    name: str
    state: Literal["up", "not ready", "down", "unknown"]
    detail: str = ""
    checked_at: datetime | None = None


class Probes:
    """The last answer of each service."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = dict(urls)
        self.states = {name: ServiceState(name, "unknown") for name in self._urls}
        self._session: aiohttp.ClientSession | None = None

    async def poll(self) -> bool:
        """Ask all of them at once; return whether a state changed."""
        if not self._urls:
            return False
        if self._session is None:
            # Here: it is a tenth of the app's start, and a monitor without services needs none.
            import aiohttp

            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
            )
        session = self._session
        answers = await asyncio.gather(*(_ask(session, n, u) for n, u in self._urls.items()))
        before = {name: (s.state, s.detail) for name, s in self.states.items()}
        self.states = {answer.name: answer for answer in answers}
        return before != {name: (s.state, s.detail) for name, s in self.states.items()}

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()


async def _ask(session: "aiohttp.ClientSession", name: str, url: str) -> ServiceState:
    import aiohttp

    now = datetime.now(UTC)
    try:
        async with session.get(url) as response:
            body = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return ServiceState(name, "down", type(error).__name__, now)
    checks = body.get("checks", {}) if isinstance(body, dict) else {}
    waiting = ", ".join(sorted(check for check, good in checks.items() if not good))
    if response.status == 200:
        return ServiceState(name, "up", "", now)
    return ServiceState(name, "not ready", waiting, now)
