"""The name of a replica: unique by itself, or declared and then held by one process at a time.

A declared name (`HEADRACE_INSTANCE`) makes a static member of the consumer groups: a replica that
is back within its session has its partitions without a rebalance. Two processes of one name would
fence each other there for ever, in silence. So the name is a lease in the service's database.
"""

import asyncio
import os
import re
import secrets
import socket
import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from headrace_kit.database import Database
from headrace_kit.leases import Lease

_LOG = structlog.get_logger(__name__)
_LEASE = timedelta(seconds=10)
# What a killed process of another machine left runs out within the lease.
_PATIENCE_SECONDS = 15.0
_LOOK_SECONDS = 0.5


class InstanceTaken(RuntimeError):
    """Another process runs under this name."""


def unique_name(service: str) -> str:
    """Return a name that no other process has, and that says where it runs."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:60]
    return f"{service}-{host}-{os.getpid()}-{secrets.token_hex(2)}"


class DeclaredName:
    """The right to a declared name; `lost` is called when another process has taken it."""

    def __init__(
        self, instance: str, owner: str, database: Database, lost: Callable[[], None]
    ) -> None:
        self._instance = instance
        self._database = database
        self._lease = Lease(f"instance/{instance}", owner, _LEASE)
        self._lost = lost
        self.held = False

    async def take(self) -> None:
        """Take the name before anything is done under it; raise InstanceTaken."""
        deadline, told = time.monotonic() + _PATIENCE_SECONDS, False
        while not await self._hold():
            if time.monotonic() > deadline:
                text = (
                    f"another process runs as {self._instance}: give each replica a "
                    "HEADRACE_INSTANCE of its own, or none at all"
                )
                _LOG.critical("the instance's name is taken", instance=self._instance)
                raise InstanceTaken(text)
            if not told:
                _LOG.warning("waits for the instance's name", instance=self._instance)
                told = True
            await asyncio.sleep(_LOOK_SECONDS)
        self.held = True

    async def keep(self) -> None:
        """Keep the name until cancelled; once another process has it, say so and stop."""
        while True:
            await asyncio.sleep(_LEASE.total_seconds() / 4)
            try:
                held = await self._hold()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                # Nobody can take it without the database either.
                _LOG.warning("the instance's name was not kept", error=type(error).__name__)
                continue
            if not held and self.held:
                self.held = False
                _LOG.critical("another process took the instance's name", instance=self._instance)
                self._lost()

    async def release(self) -> None:
        """Give the name back at a graceful stop."""
        async with self._database.transaction() as session:
            await self._lease.release(session)

    async def _hold(self) -> bool:
        async with self._database.reading() as session:
            if await self._lease.is_safe(session):
                return True
        async with self._database.transaction() as session:
            return await self._lease.hold(session)
