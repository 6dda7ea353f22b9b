"""MLflow's server in one process: `python -m headrace_stack.mlflow_server --home HOME --port N`.

`mlflow server` keeps a parent process that imports everything a second time: 250 MB, and several
seconds of start on two cores. This does what that command does, for our one configuration, and
makes the experiment for traces before it serves.
"""

import argparse
import contextlib
import importlib
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

from headrace_kit.database import sqlite_url

TRACES_EXPERIMENT = "headrace-traces"
FIRST_EXPERIMENT = "1"
"""The id that a fresh database gives to the experiment made first after the default one."""

_LOCK_SECONDS = 60
"""How long a write waits for another; SQLite's own five seconds lost spans under load."""

NICENESS = 10
"""Nobody waits for it; at the start of a stack the services and the model come first."""

ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else eight more processes, 2.6 GB
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "OMP_NUM_THREADS": "1",
}


def command(home: Path, port: int) -> list[str]:
    """The command line of the server of the stack at `home`."""
    return [
        sys.executable,
        "-m",
        "headrace_stack.mlflow_server",
        "--home",
        str(home),
        "--port",
        str(port),
    ]


def traces_experiment(home: Path) -> str:
    """The id of the experiment that takes traces, which a first start will make."""
    note = _note(home)
    if not note.exists():
        return FIRST_EXPERIMENT
    return str(json.loads(note.read_text())["traces_experiment"])


def _note(home: Path) -> Path:
    return home / "mlflow" / "experiments.json"


def _allow_readers_beside_a_writer(database: Path) -> None:
    """Eight services send spans at once; the mode stays with the file."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _find_migrations_from_within() -> None:
    """Alembic stumbles over a `%` in the path of MLflow's migrations; a relative one has none."""
    utils: Any = importlib.import_module("mlflow.store.db.utils")
    os.chdir(utils._get_package_dir())
    utils._get_package_dir = lambda: "."


def serve(home: Path, port: int) -> None:
    """Make what is missing in the home and serve until a signal."""
    folder = home / "mlflow"
    artefacts = folder / "artefacts"
    artefacts.mkdir(parents=True, exist_ok=True)
    os.nice(NICENESS)
    database = folder / "mlflow.db"
    _allow_readers_beside_a_writer(database)
    store = f"{sqlite_url(database, 'sqlite')}?timeout={_LOCK_SECONDS}"
    root = artefacts.as_uri()

    # Names of the variables by which `mlflow server` configures its app (the version is pinned).
    from mlflow.server import constants
    from mlflow.server.handlers import _get_tracking_store, initialize_backend_stores

    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = store
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = root
    os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
    _find_migrations_from_within()
    initialize_backend_stores(store, None, root)
    tracking: Any = _get_tracking_store(store, root)
    found = tracking.get_experiment_by_name(TRACES_EXPERIMENT)
    identity = found.experiment_id if found else tracking.create_experiment(TRACES_EXPERIMENT)
    _note(home).write_text(json.dumps({"traces_experiment": str(identity)}))

    import uvicorn

    uvicorn.run(
        "mlflow.server.fastapi_app:app",
        host="127.0.0.1",
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=3,
    )


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="MLflow's server of an embedded stack.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    serve(chosen.home, chosen.port)


if __name__ == "__main__":
    main()
