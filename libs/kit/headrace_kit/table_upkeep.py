"""Keeps Delta tables from growing without bound: small files put together, dead ones deleted.

Each flush makes a small file, each merge leaves old ones behind; neither goes away by itself.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

import structlog

from headrace_events.workload import Manifest
from headrace_kit.delta import open_table, table_uri
from headrace_kit.metrics import BACKGROUND_FAILURES
from headrace_kit.settings import Upkeep

_LOG = structlog.get_logger(__name__)
_SMALL_BYTES = 16 * 1024 * 1024


class TableUpkeep:
    """Periodic work on the tables of all workloads, one table after another.

    `compacted` and `vacuumed` are kinds of tables. Of a vacuumed one, versions older than
    `keep_hours` cannot be read again. Nobody else in this process writes while it holds `alone`.
    """

    def __init__(
        self,
        root: str,
        settings: Upkeep,
        workloads: Callable[[], list[Manifest]],
        *,
        compacted: Sequence[str],
        vacuumed: Sequence[str],
        alone: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> None:
        self._compacted = compacted
        self._vacuumed_kinds = vacuumed
        self._root = root
        self._settings = settings
        self._workloads = workloads
        self._alone = alone
        self._vacuumed: dict[str, float] = {}

    async def tick(self) -> None:
        """Compact what has many small files; vacuum each table every so often."""
        for manifest in self._workloads():
            name = manifest.metadata.name
            for kind in self._compacted:
                await self._one(compact, table_uri(self._root, kind, name))
            for kind in self._vacuumed_kinds:
                uri = table_uri(self._root, kind, name)
                if self._is_due(uri) and await self._one(vacuum, uri):
                    self._vacuumed[uri] = time.monotonic()

    def _is_due(self, uri: str) -> bool:
        # Not known in this process: due, or a service that is often restarted would never do it.
        last = self._vacuumed.get(uri)
        return last is None or time.monotonic() - last >= self._settings.vacuum_seconds

    async def _one(self, work: Callable[[str, Upkeep], int], uri: str) -> bool:
        """Do it; a table that does not let it is tried again, and holds up none of the others."""
        try:
            # Not beside this process's own flushes and merges: one of the two would lose.
            async with self._alone():
                files = await asyncio.to_thread(work, uri, self._settings)
        except Exception as error:  # noqa: BLE001 - a conflict with another writer, a store away
            BACKGROUND_FAILURES.labels("table upkeep").inc()
            _LOG.warning("table upkeep failed", work=work.__name__, error=type(error).__name__)
            return False
        if files:
            _LOG.info("table upkeep", work=work.__name__, table=uri, files=files)
        return True


def compact(uri: str, settings: Upkeep) -> int:
    """Put small files together once there are many; return how many were."""
    table = open_table(uri)
    if table is None:
        return 0
    sizes = table.get_add_actions(flatten=True)["size_bytes"].to_pylist()
    if sum(size < _SMALL_BYTES for size in sizes) < settings.small_files:
        return 0
    return int(table.optimize.compact()["numFilesRemoved"])


def vacuum(uri: str, settings: Upkeep) -> int:
    """Delete files that no version of the last hours has, and those of commits that never were."""
    table = open_table(uri)
    if table is None:
        return 0
    look = partial(table.vacuum, settings.keep_hours, enforce_retention_duration=False, full=True)
    # Looked at first: a vacuum that finds nothing would still make two commits.
    return len(look(dry_run=False)) if look(dry_run=True) else 0
