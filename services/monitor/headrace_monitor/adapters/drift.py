"""Where the drift watch of each workload stands."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_monitor.adapters.tables import DriftRow, OutcomeRow
from headrace_monitor.core.drift import Measurement, sample


async def look(session: AsyncSession, workload: str) -> DriftRow:
    """Return the workload's watch, to read only; a new one starts with the requests at hand."""
    row = await session.get(DriftRow, workload)
    return row or DriftRow(workload=workload, after_seq=0, drifted=False)


async def watch(session: AsyncSession, workload: str) -> DriftRow:
    """Return the workload's watch; it is written down if it is new."""
    row = await look(session, workload)
    session.add(row)
    return row


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a watch stands, for who shows it: without the reference, which may be megabytes."""

    reference_rows: int
    drifted: bool
    value: float | None
    threshold: float | None
    measured_at: datetime | None


async def standings(session: AsyncSession) -> dict[str, Standing]:
    """Return where each workload's watch stands."""
    # Nothing at all is stored as JSON's null, which has no length.
    array = case((cast(DriftRow.reference, Text).like("[%"), DriftRow.reference))
    rows = await session.execute(
        select(
            DriftRow.workload,
            func.coalesce(func.json_array_length(array), 0),
            DriftRow.drifted,
            DriftRow.value,
            DriftRow.threshold,
            DriftRow.measured_at,
        )
    )
    return {workload: Standing(*row) for workload, *row in map(tuple, rows)}


async def next_window(
    session: AsyncSession, row: DriftRow, rows: int
) -> tuple[list[bytes], int, datetime] | None:
    """Return sketches of the next full window, its last outcome and when that was, or None."""
    of_window = (
        OutcomeRow.workload == row.workload,
        OutcomeRow.seq > row.after_seq,
        func.length(OutcomeRow.sketch) > 0,
    )
    # Whether it is full is asked each two seconds; its sketches are read once it is.
    end = (
        await session.execute(
            select(OutcomeRow.seq, OutcomeRow.at)
            .where(*of_window)
            .order_by(OutcomeRow.seq)
            .offset(rows - 1)
            .limit(1)
        )
    ).first()
    if end is None:
        return None
    found = await session.scalars(
        select(OutcomeRow.sketch)
        .where(*of_window, OutcomeRow.seq <= end.seq)
        .order_by(OutcomeRow.seq)
    )
    return sample(found.all()), end.seq, end.at


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
