"""Where the drift watch of each workload stands."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_monitor.adapters.tables import DriftRow, OutcomeRow
from headrace_monitor.core.drift import Measurement


async def look(session: AsyncSession, workload: str) -> DriftRow:
    """Return the workload's watch, to read only; a new one starts with the requests at hand."""
    row = await session.get(DriftRow, workload)
    return row or DriftRow(workload=workload, after_seq=0, drifted=False)


async def watch(session: AsyncSession, workload: str) -> DriftRow:
    """Return the workload's watch; it is written down if it is new."""
    row = await look(session, workload)
    session.add(row)
    return row


async def next_window(
    session: AsyncSession, row: DriftRow, rows: int
) -> tuple[list[bytes], int, datetime] | None:
    """Return the next full window of sketches, its last outcome and when that was, or None."""
    query = (
        select(OutcomeRow.seq, OutcomeRow.sketch, OutcomeRow.at)
        .where(
            OutcomeRow.workload == row.workload,
            OutcomeRow.seq > row.after_seq,
            func.length(OutcomeRow.sketch) > 0,
        )
        .order_by(OutcomeRow.seq)
        .limit(rows)
    )
    found = (await session.execute(query)).all()
    if len(found) < rows:
        return None
    return [one.sketch for one in found], found[-1].seq, found[-1].at


def reference(row: DriftRow) -> list[bytes]:
    """Return the reference window's sketches."""
    return [bytes.fromhex(one) for one in row.reference or ()]


def set_reference(row: DriftRow, window: list[bytes], last: int) -> None:
    """Make a window the reference."""
    row.reference = [one.hex() for one in window]
    row.after_seq = last


def note(row: DriftRow, measured: Measurement, last: int, at: datetime) -> None:
    """Keep what a window measured."""
    row.value, row.threshold, row.after_seq = measured.value, measured.threshold, last
    row.measured_at = at


async def start_over(session: AsyncSession, workload: str) -> None:
    """Take the next window as the reference: another model version answers from now on."""
    row = await watch(session, workload)
    newest = select(func.max(OutcomeRow.seq)).where(OutcomeRow.workload == workload)
    row.after_seq = await session.scalar(newest) or 0
    row.reference, row.drifted = None, False
    row.value = row.threshold = row.measured_at = None
