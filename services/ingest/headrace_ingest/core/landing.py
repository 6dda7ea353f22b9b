"""Landing: from a source to one committed batch of raw records."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from headrace_events.references import TableRef
from headrace_events.workload import Source
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import RawRecord, Row, make_records, select
from headrace_ingest.core.sources import batch_id

ReadSource = Callable[[Source], Awaitable[list[Row]]]


class RawTable(Protocol):
    """Where raw records go."""

    async def land(self, workload: str, records: Sequence[RawRecord]) -> TableRef:
        """Commit the records of one batch once, however often it is asked."""


@dataclass(frozen=True, slots=True)
class Landed:
    """A batch is in the raw table."""

    batch_id: str
    source: str
    rows: int
    table: TableRef
    landed_at: datetime


class Landing:
    """Reads sources and lands their rows."""

    def __init__(self, read: ReadSource, table: RawTable) -> None:
        self._read = read
        self._table = table

    async def land_source(
        self, workload: str, source: Source, *, source_id: str, name: str
    ) -> Landed:
        """Read a declared source and land the slice of it that the manifest asks for."""
        rows = await self.rows_of(source)
        return await self.land_rows(workload, rows, source_id=source_id, name=name)

    async def rows_of(self, source: Source) -> list[Row]:
        """Read the slice of a source that it asks for; raise UnreadableSource if it is empty."""
        rows = select(await self._read(source), source.part, source.limit)
        if not rows:
            lower, upper = source.part
            raise UnreadableSource(
                f"no row of the source lies in the slice [{lower}, {upper}): widen `part`",
                param="part",
            )
        return rows

    async def land_rows(
        self, workload: str, rows: Sequence[Row], *, source_id: str, name: str
    ) -> Landed:
        """Land rows under a batch id that the same rows of the same source always get."""
        identity = batch_id(workload, source_id, rows)
        now = datetime.now(UTC)
        records = make_records(rows, batch_id=identity, source=name, landed_at=now)
        return await self.land_records(workload, records)

    async def land_records(self, workload: str, records: Sequence[RawRecord]) -> Landed:
        """Land records that have their ids already."""
        table = await self._table.land(workload, records)
        first = records[0]
        return Landed(first.batch_id, first.source, len(records), table, first.landed_at)
