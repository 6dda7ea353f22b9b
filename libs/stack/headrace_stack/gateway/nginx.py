"""The nginx of an embedded stack: found, configured, and started as one process."""

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from headrace_stack.errors import StackError
from headrace_stack.gateway.configuration import LOCAL_HOSTS, Layout, render
from headrace_stack.ports import HOST

PROGRAM_VARIABLE = "HEADRACE_NGINX"
HOSTS_VARIABLE = "HEADRACE_GATEWAY_HOSTS"
HEALTH = "/gateway/healthz"
OLDEST = (1, 20)
"""The first of the long-term releases that takes `-e`."""
# Debian and Fedora keep it where only an administrator's PATH looks.
_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin")
IN_USE = "Address already in use"


def program() -> str:
    """Return the path of nginx; raise StackError where there is none, or an old one."""
    chosen = os.environ.get(PROGRAM_VARIABLE)
    own = str(Path(sys.prefix) / "bin")  # where `make setup` puts the one of Debian's package
    path = os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS, own])
    found = shutil.which(chosen or "nginx", path=path)
    if found is None:
        raise StackError(
            f"{chosen or 'nginx'} is not there: it is the gateway behind the base URL. `make setup`"
            f" installs it, or install the package nginx, or name it in {PROGRAM_VARIABLE}."
        )
    said = subprocess.run([found, "-v"], capture_output=True, text=True, check=False)
    version = re.search(r"nginx/(\d+)\.(\d+)", said.stderr)
    if version is None:
        raise StackError(f"{found} does not run: {said.stderr.strip() or said.returncode}.")
    if (int(version[1]), int(version[2])) < OLDEST:
        raise StackError(f"{found} is nginx {version[1]}.{version[2]}; 1.20 or newer is needed.")
    return found


def embedded(port: int, services: Mapping[str, int]) -> Layout:
    """Return the layout of a stack's gateway on `port`, before `services` (name to port)."""
    more = tuple(filter(None, re.split(r"[,\s]+", os.environ.get(HOSTS_VARIABLE, ""))))
    # One process: killed, it leaves no worker behind that holds the port.
    main = ["daemon off;", "master_process off;", "worker_processes 1;"]
    if os.geteuid() == 0:
        main.append(f"user {pwd.getpwuid(0).pw_name};")  # else `nobody`, who cannot enter the home
    return Layout(
        generated="Generated at each start of the stack.",
        main=tuple(main),
        listen=f"{HOST}:{port}",
        targets={name: f"{HOST}:{number}" for name, number in services.items()},
        folder="",
        hosts=(*LOCAL_HOSTS, *more),
        log_all=False,
        hint=", or see `headrace status` and `headrace logs {service}`",
    )


def prepare(home: Path, layout: Layout) -> list[str]:
    """Write the configuration into the home; return the command that runs it."""
    folder = home / "gateway"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "nginx.conf").write_text(render(layout))
    except ValueError as error:
        raise StackError(f"{HOSTS_VARIABLE}: {error}.") from None
    # All paths inside are relative to the prefix, so a home may be called anything.
    return [program(), "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"]
