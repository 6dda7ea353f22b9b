"""Reads what a manifest may declare, and keeps the raw tables behind the domain's protocol."""

import asyncio
from collections.abc import Sequence

from headrace_events.references import TableRef
from headrace_events.workload import Source
from headrace_ingest.adapters import raw_table
from headrace_ingest.adapters.docs_process import read_python_docs
from headrace_ingest.adapters.files import Columns, fingerprint, read_content, read_rows
from headrace_ingest.adapters.roots import Roots
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import RawRecord, Row


class SourceReader:
    """Reads the rows of a declared source without blocking the event loop."""

    def __init__(self, max_bytes: int, roots: Roots) -> None:
        self._max_bytes = max_bytes
        self._roots = roots

    async def __call__(self, source: Source) -> list[Row]:
        """Return all rows of the source; raise UnreadableSource."""
        if source.type == "python_docs":
            return await read_python_docs()
        return await asyncio.to_thread(self._read_file, source)

    def _read_file(self, source: Source) -> list[Row]:
        if not source.path:
            raise UnreadableSource("a source of type `file` needs `path`", param="path")
        content = read_content(str(self._roots.resolve(source.path)), self._max_bytes)
        return read_rows(source.path, content, Columns(source.prompt, source.completion))

    def fingerprint(self, path: str) -> str:
        """Return what changes when the file changes; it blocks for no longer than a `stat`."""
        try:
            return fingerprint(str(self._roots.resolve(path)))
        except UnreadableSource:
            return "refused"


class RawTables:
    """The Delta tables raw/<workload>."""

    def __init__(self, root: str) -> None:
        self._root = root

    async def land(self, workload: str, records: Sequence[RawRecord]) -> TableRef:
        """Commit a batch once."""
        return await asyncio.to_thread(raw_table.land, self._root, workload, records)
