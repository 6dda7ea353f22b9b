"""What became of sources, files and batches, in the database."""

from datetime import datetime
from typing import Any

from sqlalchemy import update

from headrace_events.data import RecordsLanded, RecordsRejected
from headrace_ingest.adapters.tables import BatchRow, FileRow, SourceRow
from headrace_ingest.core.landing import Landed
from headrace_kit import UnitOfWork


async def expect(uow: UnitOfWork, workload: str, payload: dict[str, Any]) -> None:
    """Note that a source is about to be read, by the job with this payload."""
    row = await uow.session.get(SourceRow, (workload, payload["source_id"]))
    if row is None:
        row = SourceRow(workload=workload, source_id=payload["source_id"], rows=0)
        uow.session.add(row)
    row.name, row.spec = payload["name"], payload["source"]
    row.revision, row.state, row.reason = payload["revision"], "queued", None
    row.updated_at = datetime.fromisoformat(payload["applied_at"])


async def announce(uow: UnitOfWork, workload: str, landed: Landed) -> bool:
    """Record a batch and emit records.landed; a batch that was announced before is left alone."""
    if await uow.session.get(BatchRow, landed.batch_id):
        return False
    fact = RecordsLanded(
        batch_id=landed.batch_id, table=landed.table, rows=landed.rows, source=landed.source
    )
    event = uow.emit(
        fact,
        workload=workload,
        subject=landed.batch_id,
        # One manifest has several sources: each has its own event.
        discriminator=landed.batch_id,
    )
    add_batch(uow, workload, fact, event.time)
    return True


def add_batch(uow: UnitOfWork, workload: str, landed: RecordsLanded, at: datetime) -> None:
    """Note a batch as its event has it."""
    uow.session.add(
        BatchRow(
            batch_id=landed.batch_id,
            workload=workload,
            source=landed.source,
            rows=landed.rows,
            table_uri=landed.table.uri,
            table_version=landed.table.version,
            landed_at=at,
        )
    )


async def close_source(
    uow: UnitOfWork,
    workload: str,
    source_id: str,
    state: str,
    reason: str | None,
    rows: int | None = None,
    batch_id: str | None = None,
) -> None:
    """Note what became of a source."""
    values: dict[str, object] = {"state": state, "reason": reason, "updated_at": uow.at}
    if batch_id:
        values |= {"rows": rows, "batch_id": batch_id}
    await uow.session.execute(
        update(SourceRow)
        .where(SourceRow.workload == workload, SourceRow.source_id == source_id)
        .values(**values)
    )


async def close_file(uow: UnitOfWork, file_id: str, state: str, reason: str | None = None) -> None:
    """Note what became of an uploaded file."""
    await uow.session.execute(
        update(FileRow).where(FileRow.file_id == file_id).values(state=state, reason=reason)
    )


def reject(uow: UnitOfWork, workload: str, source: str, reason: str) -> None:
    """Emit records.rejected."""
    uow.emit(
        RecordsRejected(source=source, reason=reason),
        workload=workload,
        subject=source,
        discriminator=source,
    )
