"""A real PostgreSQL for tests: a temporary cluster of the system's own binaries, on a socket."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_USERS = ("postgres", "nobody")  # the server refuses to run as root
_MISSING = (
    "PostgreSQL's server is not installed: `scripts/setup.sh --tests`, or the Debian package "
    "`postgresql` (the binaries are looked for in /usr/lib/postgresql/*/bin and on the PATH)"
)


class PostgresMissing(RuntimeError):
    """There is no PostgreSQL here; the message says how to get one."""


def _binaries() -> Path:
    packaged = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4])
    )
    on_path = shutil.which("initdb")
    if packaged:
        return packaged[-1].parent
    if on_path:
        return Path(on_path).resolve().parent
    raise PostgresMissing(_MISSING)


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise PostgresMissing(f"root cannot run PostgreSQL and there is none of {', '.join(_USERS)}")


class PostgresCluster:
    """A running cluster; `fresh()` makes an empty database in it."""

    def __init__(self, folder: Path, port: int, owner: str) -> None:
        self._folder = folder
        self._port = port
        self._owner = owner

    def url(self, database: str) -> str:
        """Return SQLAlchemy's URL of a database."""
        return (
            f"postgresql+asyncpg://{self._owner}@/{database}?host={self._folder}&port={self._port}"
        )

    def fresh(self) -> str:
        """Make an empty database; return its URL."""
        name = f"t{uuid.uuid4().hex[:12]}"
        asyncio.run(self._execute(f"CREATE DATABASE {name}"))
        return self.url(name)

    async def _execute(self, statement: str) -> None:
        import asyncpg  # type: ignore[import-untyped] # it has no types

        connection = await asyncpg.connect(
            host=str(self._folder), port=self._port, user=self._owner, database="postgres"
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def postgres_cluster() -> Iterator[PostgresCluster]:
    """Run a temporary cluster; raise PostgresMissing where there is no PostgreSQL."""
    binaries, user = _binaries(), _user()
    folder = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
    port = 5432  # the name of the socket; nothing listens on the network
    try:
        if user:
            shutil.chown(folder, user)

        def run(*command: str) -> None:
            done = subprocess.run(
                [str(binaries / command[0]), *command[1:]],
                user=user,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")

        data = str(folder / "data")
        run("initdb", "-D", data, "-U", "headrace", "-A", "trust", "-E", "UTF8", "--no-sync")
        # Durable against a kill of the processes, not of the machine: tests kill processes.
        options = f"-c listen_addresses='' -k {folder} -p {port} -c fsync=off"
        run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield PostgresCluster(folder, port, "headrace")
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
