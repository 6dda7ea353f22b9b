"""Judges the steps of running canaries, and tells when one is not asked."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events.rollout import ArmStats, CanaryJudged
from headrace_events.workload import Manifest
from headrace_kit import Service
from headrace_kit.telemetry import context_of, span
from headrace_monitor.adapters import alerts, outcomes, rollouts
from headrace_monitor.adapters.tables import RolloutRow
from headrace_monitor.core import canary, causes
from headrace_monitor.core.canary import Arm, Verdict
from headrace_monitor.core.patience import Patience

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a running step looks now."""

    step: int
    verdict: Verdict
    candidate: ArmStats
    incumbent: ArmStats
    needed: tuple[int, int]
    most: int


class CanaryWatch:
    """Reads both arms of each running step and emits `canary.judged` once when they tell."""

    def __init__(self, service: Service, patience: Patience | None = None) -> None:
        self._service = service
        self._patience = patience or Patience()
        self.standing: dict[str, Standing] = {}

    async def tick(self) -> None:
        """Judge what can be judged."""
        async with self._service.reading() as session:
            running = await rollouts.running(session)
            arms = {row.rollout_id: await _arms(session, row) for row in running}
        for row in running:
            if manifest := self._service.workloads.get(row.workload):
                await self._judge(row, *arms[row.rollout_id], manifest)
            if row.judged_step < row.step:
                await self._look_for_traffic(row)
        await self._end_of_gone({row.workload for row in running})
        open_ids = {row.rollout_id for row in running}
        self.standing = {k: v for k, v in self.standing.items() if k in open_ids}

    async def _look_for_traffic(self, row: RolloutRow) -> None:
        now = datetime.now(UTC)
        async with self._service.reading() as session:
            newest = await outcomes.newest(session, row.workload, row.candidate, row.opened_at)
            raised = await alerts.is_raised(session, row.workload, causes.STARVING)
        starves = self._patience.is_over(row.opened_at, newest, now)
        if starves == raised:
            return
        async with self._service.unit_of_work() as uow:
            if starves:
                seconds = self._patience.quiet if newest else self._patience.starving
                alert = causes.starving(
                    row.workload, row.candidate, row.weight, seconds=seconds, ever=bool(newest)
                )
                await alerts.raise_in(uow, row.workload, alert)
            else:
                await alerts.end_in(uow, row.workload, causes.STARVING, "the candidate is asked")

    async def _end_of_gone(self, running: set[str]) -> None:
        """End the alert of a canary that is none any more, however it ended."""
        async with self._service.reading() as session:
            open_rows = await alerts.open_names(session, causes.STARVING)
        gone = [row.workload for row in open_rows if row.workload not in running]
        if gone:
            async with self._service.unit_of_work() as uow:
                for workload in gone:
                    await alerts.end_in(uow, workload, causes.STARVING, "there is no canary now")

    async def _judge(
        self, row: RolloutRow, candidate: Arm, incumbent: Arm, manifest: Manifest
    ) -> None:
        rules, slo = manifest.spec.serve.canary, manifest.spec.monitor.slo
        verdict = canary.judge(candidate, incumbent, rules, slo, row.weight)
        ours, theirs = candidate.stats(), incumbent.stats()
        self.standing[row.rollout_id] = Standing(
            step=row.step,
            verdict=verdict,
            candidate=ours,
            incumbent=theirs,
            needed=canary.needed(rules, row.weight),
            most=canary.most(rules, row.weight),
        )
        if verdict.verdict == "wait" or row.judged_step >= row.step:
            return
        cause = rollouts.cause(row)
        parent = context_of(cause.traceparent, cause.tracestate)
        with span("judge canary", parent=parent):
            async with self._service.unit_of_work(cause=cause) as uow:
                if not await rollouts.mark_judged(uow.session, row.rollout_id, row.step):
                    return
                uow.emit(
                    CanaryJudged(
                        rollout_id=row.rollout_id,
                        step=row.step,
                        verdict="advance" if verdict.verdict == "advance" else "fail",
                        inconclusive=verdict.verdict == "cannot_tell",
                        reason=verdict.reason,
                        candidate=ours,
                        incumbent=theirs,
                    ),
                    subject=row.rollout_id,
                )
        _LOG.info("canary judged", workload=row.workload, step=row.step, verdict=verdict.verdict)


async def _arms(session: AsyncSession, row: RolloutRow) -> tuple[Arm, Arm]:
    return (
        await outcomes.arm(session, row.workload, row.candidate, row.opened_at),
        await outcomes.arm(session, row.workload, row.incumbent, rollouts.incumbent_since(row)),
    )
