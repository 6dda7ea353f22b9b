"""A thrifty Ray head in the foreground: `python -m headrace_stack.ray_head --first-port N ...`.

`ray start --head` always brings an autoscaler, a client proxy and a dashboard process: 320 MB
that one machine does not need, and it starts the raylet only when the dashboard answers (10 s on
two cores). This starts the same node without them. It uses Ray's own node class, which is not a
public interface: the version of Ray is pinned, and an integration test runs a task on it.
"""

import argparse
import importlib
import os
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORKER_PORTS = 200
PORTS = 8 + WORKER_PORTS
MIB = 1024 * 1024
START_SECONDS = 150.0
OBJECT_STORE_BYTES = 256 * MIB
LOGICAL_CPUS = 8
"""More than the machine has: actors of serving and evaluation mostly wait, and may share cores."""


def temporary_folder(stack: str) -> Path:
    """Where Ray keeps sockets and logs: short, for a socket's path may have 107 characters."""
    return Path("/tmp") / f"headrace-{stack[:8]}"  # noqa: S108 - private, made with mode 0700


def environment(home: Path) -> dict[str, str]:
    """What head, workers and every driver must have in their environment."""
    return {
        # Only the loopback, on Linux too: Ray runs any code it is sent.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # The token lives in the stack's home; by default Ray keeps one in the user's.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(home / "ray" / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Eight idle Python workers would be started for the first driver: 90 MB each.
        "RAY_prestart_worker_first_driver": "0",
        "RAY_num_workers_soft_limit": "1",
        # By default 15, which keeps a replica from starting while anything else has work.
        "RAY_worker_niceness": "0",
        "RAY_ROTATION_MAX_BYTES": str(10 * MIB),
        "RAY_ROTATION_BACKUP_COUNT": "1",
        "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
        # 30 s are not enough for the raylet where two cores have much else to do.
        "RAY_raylet_start_wait_time_s": "180",
        # The only node has nobody to hand its work to, and would wait 30 s for that.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    }


def make_token(home: Path) -> None:
    """A token that only this user can read; the same over restarts."""
    token = home / "ray" / "token"
    token.parent.mkdir(parents=True, exist_ok=True)
    if not token.exists():
        handle = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))


def command(stack: str, first_port: int) -> list[str]:
    """The command line of the head; its ports are `PORTS` in a row."""
    return [
        sys.executable,
        "-m",
        "headrace_stack.ray_head",
        "--first-port",
        str(first_port),
        "--temporary",
        str(temporary_folder(stack)),
    ]


def run(first_port: int, temporary: Path) -> None:
    """Start the node; end with an error when one of its processes dies."""
    shutil.rmtree(temporary, ignore_errors=True)  # of a head that was killed
    temporary.mkdir(mode=0o700)
    sys.executable = shell_word(sys.executable, temporary)
    from ray._private import services
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    services.get_node = _patient(services.get_node)
    raylet: Any = importlib.import_module("ray._raylet")

    agent_ports = {
        raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME: first_port + 3,
        raylet.METRICS_AGENT_PORT_NAME: first_port + 4,
        raylet.RUNTIME_ENV_AGENT_PORT_NAME: first_port + 5,
        raylet.METRICS_EXPORT_PORT_NAME: first_port + 6,
    }

    class HeadNode(Node):
        """A head node whose dashboard is left out."""

        def start_api_server(self, **_: Any) -> None:
            self._webui_url = None

        def start_raylet(self, *arguments: Any, **named: Any) -> None:
            """Note the agents' ports before they do: the raylet dies if they take 15 s to."""
            for name, port in agent_ports.items():
                raylet.persist_port(self._session_dir, self._node_id, name, port)
            super().start_raylet(*arguments, **named)

    # Ray's own types do not hold here: the switch for the log monitor is typed as text.
    parameters: Any = RayParams(
        node_ip_address="127.0.0.1",
        node_name="headrace",
        node_manager_port=first_port + 1,
        object_manager_port=first_port + 2,
        dashboard_agent_listen_port=first_port + 3,
        metrics_agent_port=first_port + 4,
        runtime_env_agent_port=first_port + 5,
        metrics_export_port=first_port + 6,
        min_worker_port=first_port + 8,
        max_worker_port=first_port + PORTS - 1,
        num_cpus=LOGICAL_CPUS,
        object_store_memory=OBJECT_STORE_BYTES,
        temp_dir=str(temporary),
        include_dashboard=False,
        include_log_monitor=False,  # type: ignore[arg-type]
        no_monitor=True,
    )
    parameters.gcs_server_port = first_port
    parameters.update_if_absent(
        redis_shard_ports=None, num_redis_shards=None, redis_max_clients=None
    )
    node: Any = HeadNode(parameters, head=True, shutdown_at_exit=True, spawn_reaper=True)
    (temporary / "ready").write_text(str(node.address))
    while not (dead := node.dead_processes()):
        time.sleep(0.5)
    names = ", ".join(kind for kind, _ in dead)
    sys.stderr.write(f"Ray's {names} ended; stopping the head.\n")
    node.kill_all_processes(check_alive=False, allow_graceful=False)
    os._exit(1)


def shell_word(python: str, folder: Path) -> str:
    """Return a path of this Python that a shell takes for one word.

    Ray starts its workers through `bash -c` and does not quote the interpreter's path; where the
    environment lies in a folder with a space, they are reached by a link in `folder`.
    """
    if shlex.quote(python) == python:
        return python
    link = folder / "python"
    link.symlink_to(sys.prefix)
    # Of a virtual environment Python looks for `pyvenv.cfg` beside the path that started it.
    return str(link / Path(python).relative_to(sys.prefix))


def _patient(get_node: Callable[..., Any]) -> Callable[..., Any]:
    """Ray gives its node 30 s to come up; beside the start of all the rest it may take longer."""

    def asked_again(*arguments: Any, **named: Any) -> Any:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return get_node(*arguments, **named)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise

    return asked_again


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="The Ray head of an embedded stack.")
    parser.add_argument("--first-port", type=int, required=True)
    parser.add_argument("--temporary", type=Path, required=True)
    chosen = parser.parse_args()
    run(chosen.first_port, chosen.temporary)


if __name__ == "__main__":
    main()
