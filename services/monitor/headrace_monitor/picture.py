"""The state of each workload, from what this process knows: for the console and the API alike."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_kit import Service
from headrace_monitor.adapters.probes import Probes
from headrace_monitor.adapters.tables import OutcomeRow
from headrace_monitor.core import workload_state
from headrace_monitor.core.loop import Rollout, WorkloadLoop
from headrace_monitor.core.states import Standing, State
from headrace_monitor.watches.canaries import CanaryWatch
from headrace_monitor.watches.ledger import Ledger


class Picture:
    """Asks the ledger, the canary watch, the probes and the stored outcomes."""

    def __init__(
        self, service: Service, ledger: Ledger, canaries: CanaryWatch, probes: Probes
    ) -> None:
        self._service = service
        self._ledger = ledger
        self._canaries = canaries
        self._probes = probes

    def names(self) -> list[str]:
        """Return all workloads: with a manifest, or with events."""
        applied = (manifest.metadata.name for manifest in self._service.workloads.all())
        return sorted({*self._ledger.loops.by_name, *applied} - {""})

    def loop(self, name: str) -> WorkloadLoop:
        """Return the loop of a workload; an empty one where no event has come yet."""
        return self._ledger.loops.by_name.get(name) or WorkloadLoop(name)

    async def states(self, session: AsyncSession, names: Iterable[str]) -> dict[str, State]:
        """Return what each of these does now."""
        now = datetime.now(UTC)
        services = {name: probed.state for name, probed in self._probes.states.items()}
        found = {}
        for name in names:
            loop = self.loop(name)
            manifest = self._service.workloads.get(name)
            standing = await self._standing(session, name, loop.rollout)
            found[name] = workload_state.state(
                loop, manifest, now, standing=standing, services=services
            )
        return found

    async def _standing(
        self, session: AsyncSession, workload: str, rollout: Rollout | None
    ) -> Standing | None:
        if rollout is None or rollout.state != "running":
            return None
        found = self._canaries.standing.get(rollout.rollout_id)
        if found is None or found.step != rollout.step:
            return None
        newest = select(func.max(OutcomeRow.at)).where(
            OutcomeRow.workload == workload, OutcomeRow.version == rollout.candidate
        )
        return Standing(
            requests=found.candidate.requests,
            needed=found.needed[0],
            waits=found.verdict.verdict == "wait",
            reason=found.verdict.reason,
            last_request=await session.scalar(newest),
        )
