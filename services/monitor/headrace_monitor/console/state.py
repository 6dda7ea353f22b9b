"""Everything the console shows, as one JSON document.

It is put together at most once a second, whoever asks: open consoles, the page and `/console/state`
share it, and of a loop and of windows only what changed is made anew.
"""

import asyncio
import time
from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_kit import Service
from headrace_monitor.adapters import alerts, drift
from headrace_monitor.adapters.probes import Probes
from headrace_monitor.adapters.tables import AlertRow, TripRow
from headrace_monitor.core.drift import LONGEST_WINDOW
from headrace_monitor.core.loop import Rollout, WorkloadLoop
from headrace_monitor.core.states import State
from headrace_monitor.core.windows import Window
from headrace_monitor.picture import Picture
from headrace_monitor.settings import Monitor
from headrace_monitor.watches.canaries import CanaryWatch
from headrace_monitor.watches.ledger import Ledger
from headrace_monitor.watches.traffic import Traffic

# A little less than the feed's second.
_FRESH_SECONDS = 0.9
_TRIPS_SHOWN = 8
_TRIPS_COUNTED = timedelta(hours=1)
_SPARKLINE_SECONDS = 900


class ConsoleState:
    """Puts the state together from memory and database."""

    def __init__(
        self,
        service: Service,
        settings: Monitor,
        *,
        ledger: Ledger,
        traffic: Traffic,
        canaries: CanaryWatch,
        probes: Probes,
    ) -> None:
        self._service = service
        self._settings = settings
        self._ledger = ledger
        self._traffic = traffic
        self._canaries = canaries
        self._probes = probes
        self.picture = Picture(service, ledger, canaries, probes)
        self._making = asyncio.Lock()
        self._made: dict[str, Any] = {}
        self._made_at = 0.0
        self._loops: dict[str, tuple[int, dict[str, Any]]] = {}

    async def build(self, *, events: bool = True) -> dict[str, Any]:
        """Return the whole state, shared: do not change it. Live updates leave out the events."""
        async with self._making:
            if not self._made or time.monotonic() - self._made_at > _FRESH_SECONDS:
                self._made, self._made_at = await self._make(), time.monotonic()
        return {**self._made, "events": list(self._ledger.events)} if events else self._made

    async def _make(self) -> dict[str, Any]:
        names = self.picture.names()
        async with self._service.reading() as session:
            all_alerts = [_alert(row) for row in await alerts.listed(session)]
            trips = await _trips(session)
            watched = await drift.standings(session)
            states = await self.picture.states(session, names)
        windows = _by_workload(self._traffic.board.windows(self._settings.window_seconds))
        history = _by_workload(self._traffic.board.windows(_SPARKLINE_SECONDS))
        return {
            "time": datetime.now(UTC),
            "version": self._service.version,
            "links": {"mlflow": self._settings.mlflow_url, "traces": self._settings.traces_url},
            "services": [asdict(s) for s in self._probes.states.values()],
            "window_seconds": self._settings.window_seconds,
            "audit_entries": self._ledger.position,
            "alerts": all_alerts,
            "workloads": [
                {
                    **self._loop(self.picture.loop(name)),
                    "now": _now(states[name]),
                    "traffic": _traffic(windows[name], history[name]),
                    "guardrails": trips[name],
                    "drift": self._drift(name, watched.get(name)),
                }
                for name in names
            ],
        }

    def _loop(self, loop: WorkloadLoop) -> dict[str, Any]:
        revision = self._ledger.loops.revisions[loop.name]
        known = self._loops.get(loop.name)
        if known is None or known[0] != revision:
            known = self._loops[loop.name] = revision, _shown(loop)
        if loop.rollout is None:
            return known[1]
        return {**known[1], "rollout": known[1]["rollout"] | self._standing(loop.rollout)}

    def _standing(self, rollout: Rollout) -> dict[str, Any]:
        standing = self._canaries.standing.get(rollout.rollout_id)
        if rollout.state != "running" or standing is None or standing.step != rollout.step:
            return {"live": None}
        return {
            "live": {
                "candidate": standing.candidate.model_dump(),
                "incumbent": standing.incumbent.model_dump(),
                "needed": standing.needed,
                "most": standing.most,
                "verdict": standing.verdict.verdict,
                "reason": standing.verdict.reason,
                "checks": [asdict(check) for check in standing.verdict.checks],
            }
        }

    def _drift(self, workload: str, row: drift.Standing | None) -> dict[str, Any]:
        manifest = self._service.workloads.get(workload)
        return {
            "window": min(manifest.spec.monitor.drift.window, LONGEST_WINDOW) if manifest else None,
            "reference_rows": row.reference_rows if row else 0,
            "drifted": bool(row and row.drifted),
            "value": row.value if row else None,
            "threshold": row.threshold if row else None,
            "measured_at": row.measured_at if row else None,
        }


def _shown(loop: WorkloadLoop) -> dict[str, Any]:
    shown = asdict(loop)
    if loop.rollout and loop.rollout.state == "running":
        # Not the registry's word, but what the model does now.
        shown["models"].get(loop.rollout.candidate, {})["status"] = "canary"
    for plural in ("datasets", "models", "turns"):
        shown[plural] = list(reversed(shown[plural].values()))
    shown["source_problem"] = loop.source_problem
    for inner in ("training_dataset", "waiting", "source_problems", "decisions", "trace_id"):
        del shown[inner]
    return shown


def _now(state: State) -> dict[str, Any]:
    return {**asdict(state), "sentence": state.sentence}


def _by_workload(windows: list[Window]) -> dict[str, list[Window]]:
    found: dict[str, list[Window]] = defaultdict(list)
    for window in windows:
        found[window.workload].append(window)
    return found


def _traffic(windows: list[Window], history: list[Window]) -> list[dict[str, Any]]:
    """Return each series' figures over the window, with the points of a longer sparkline."""
    current = {(w.version, w.arm): w for w in windows}
    return [
        {
            **_figures(current.get((old.version, old.arm)) or old),
            "points": old.points,
            "active": (old.version, old.arm) in current,
        }
        for old in history
    ]


def _figures(window: Window) -> dict[str, Any]:
    found = window.figures()
    del found["workload"]
    return found


def _alert(row: AlertRow) -> dict[str, Any]:
    return {
        "workload": row.workload,
        "name": row.name,
        "severity": row.severity,
        "summary": row.summary,
        "next_step": row.next_step,
        "raised_at": row.raised_at,
        "resolved_at": row.resolved_at,
        "acknowledged": row.acknowledged_reason,
        "silenced_until": row.silenced_until,
    }


async def _trips(session: AsyncSession) -> dict[str, dict[str, Any]]:
    """Return counts of the last hour and the newest trips, by workload."""
    since = datetime.now(UTC) - _TRIPS_COUNTED
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"counts": [], "recent": []})
    counted = await session.execute(
        select(TripRow.workload, TripRow.stage, TripRow.check, TripRow.action, func.count())
        .where(TripRow.at >= since)
        .group_by(TripRow.workload, TripRow.stage, TripRow.check, TripRow.action)
        .order_by(func.count().desc())
    )
    for workload, stage, check, action, count in counted:
        found[workload]["counts"].append(
            {"stage": stage, "check": check, "action": action, "count": count}
        )
    # Of each workload its own: one that is attacked must not hide what happens to another.
    place = func.row_number().over(partition_by=TripRow.workload, order_by=TripRow.at.desc())
    ranks = select(TripRow.event_id, place.label("place")).where(TripRow.at >= since).subquery()
    newest = (
        select(TripRow)
        .join(ranks, ranks.c.event_id == TripRow.event_id)
        .where(ranks.c.place <= _TRIPS_SHOWN)
        .order_by(TripRow.at.desc())
    )
    for row in await session.scalars(newest):
        found[row.workload]["recent"].append(
            {
                "request_id": row.request_id,
                "stage": row.stage,
                "check": row.check,
                "action": row.action,
                "labels": row.labels,
                "trace_id": row.trace_id,
                "at": row.at,
            }
        )
    return found
