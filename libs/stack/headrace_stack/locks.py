"""One supervisor per home."""

import fcntl
import os
from pathlib import Path
from typing import IO


def lock(home: Path) -> IO[str] | None:
    """The lock that one supervisor per home holds while it lives; None when another has it."""
    home.mkdir(parents=True, exist_ok=True)
    file = (home / "supervisor.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    os.set_inheritable(file.fileno(), False)
    return file
