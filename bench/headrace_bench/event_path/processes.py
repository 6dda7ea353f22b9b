"""Child processes of a bench: started, waited for, ended."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

_POLL_SECONDS = 0.2


@contextmanager
def python_module(
    module: str,
    *arguments: str,
    ready: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 90.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m module` while the block runs; it begins when the URL `ready` answers."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own: what it starts ends with it
        )
    try:
        _wait(process, ready, log, seconds)
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(URLError, OSError), urlopen(url, timeout=2):  # noqa: S310 - our own address
            return
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"{url} does not answer; {log} says why:\n{log.read_text()[-2000:]}")
