"""Sends open consoles what changed: traffic pulses and the state, at most once a second."""

from typing import Any

from headrace_monitor.console.state import ConsoleState
from headrace_monitor.live import Live, dumps
from headrace_monitor.watches.traffic import Traffic


class Feed:
    """Nothing is put together while nobody looks."""

    def __init__(self, state: ConsoleState, traffic: Traffic, live: Live) -> None:
        self._state = state
        self._traffic = traffic
        self._live = live
        self._sent = ""

    async def tick(self) -> None:
        """Send pulses and, if it changed, the state."""
        passed, self._traffic.passed = self._traffic.passed, type(self._traffic.passed)()
        if not self._live.readers:
            self._sent = ""
            return
        if passed:
            pulses = [
                {"workload": workload, "type": kind.rsplit(".v", 1)[0], "count": count}
                for (workload, kind), count in passed.items()
            ]
            self._live.send("pulse", pulses)
        state = await self._state.build(events=False)
        fingerprint = _without_clocks(state)
        if fingerprint != self._sent:
            self._sent = fingerprint
            self._live.send("state", state)


def _without_clocks(state: dict[str, Any]) -> str:
    kept = {k: v for k, v in state.items() if k != "time"}
    kept["services"] = [{**s, "checked_at": None} for s in kept["services"]]
    return dumps(kept)
