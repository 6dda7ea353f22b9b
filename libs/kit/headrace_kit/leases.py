"""Leases in the service's database, held by a process and not by a name.

A holder writes down which process it is. So two replicas with one name never take each other's
work, and what a killed process held is free at once for whoever can see that it is gone: any
process on the same machine (and in the same container). Elsewhere the lease has to run out.
"""

import contextlib
import os
import secrets
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_kit.database import Database, LeaseRow

_PARTS = 3


@cache
def _place() -> str:
    """Name the space in which a process id means something; "" where that cannot be told."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    return ""


def new_owner(instance: str) -> str:
    """Return what a start of a process signs its leases with: `instance pid@place random`."""
    name = instance.replace(" ", "_")
    return f"{name} {os.getpid()}@{_place()} {secrets.token_hex(4)}"


def is_gone(owner: str | None) -> bool:
    """Say whether the process that signed as `owner` has surely ended; False where unknown."""
    parts = (owner or "").split(" ")
    if len(parts) != _PARTS:  # of an older release
        return False
    number, _, place = parts[1].partition("@")
    if not place or place != _place():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    # A killed process that its parent has not looked at yet still has its number.
    with contextlib.suppress(OSError, IndexError):
        state = Path(f"/proc/{number}/stat").read_text(encoding="ascii", errors="replace")
        return state.rpartition(")")[2].split()[0] in ("Z", "X")
    return False


class Lease:
    """A named right that one process holds at a time."""

    def __init__(self, name: str, owner: str, length: timedelta) -> None:
        self.name = name
        self._owner = owner
        self._length = length

    async def is_safe(self, session: AsyncSession) -> bool:
        """Say whether it is ours for more than half its length yet; reads only."""
        row = await session.get(LeaseRow, self.name)
        return bool(
            row and row.owner == self._owner and row.until - datetime.now(UTC) > self._length / 2
        )

    async def hold(self, session: AsyncSession) -> bool:
        """Take or lengthen the lease; False while another process holds it."""
        now = datetime.now(UTC)
        row = await session.get(LeaseRow, self.name, with_for_update=True)
        if row is None:
            session.add(LeaseRow(name=self.name, owner=self._owner, until=now + self._length))
            return True
        if row.owner != self._owner and row.until > now and not is_gone(row.owner):
            return False
        if row.owner != self._owner or row.until - now < self._length / 2:
            # Not at every call: each change is an fsync.
            row.owner, row.until = self._owner, now + self._length
        return True

    async def release(self, session: AsyncSession) -> None:
        """Give it back, if it is ours."""
        await session.execute(
            delete(LeaseRow).where(LeaseRow.name == self.name, LeaseRow.owner == self._owner)
        )


async def forget_old_leases(database: Database, keep: timedelta) -> None:
    """Delete leases that ran out so long ago: of names that are used no more."""
    async with database.transaction() as session:
        await session.execute(delete(LeaseRow).where(LeaseRow.until < datetime.now(UTC) - keep))
