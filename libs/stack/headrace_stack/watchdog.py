"""A process whose event loop stands still ends, with every thread's stack in its log.

The timer is faulthandler's: a thread of C, which needs neither the loop nor Python's lock. So it
also ends what hangs in a regular expression, or in a library that keeps the lock.
"""

import faulthandler
import sys
import time
from pathlib import Path

_FILE = "heartbeat"

BEAT_SECONDS = 2.0
HANG_SECONDS = 60.0
"""Far above what a loaded machine makes a loop wait. A machine that sleeps does not count on."""
STALE_SECONDS = 15.0
"""So long after the last beat `status` no longer believes what was written down."""


def write_beat(home: Path) -> None:
    """Note that the loop moves now: over the last note, so that a full disk does not matter."""
    path = home / _FILE
    # All processes of a machine share this clock, which nobody sets.
    beat = f"{time.monotonic():020.3f}\n"
    with path.open("r+" if path.exists() else "w") as file:
        file.write(beat)


def forget(home: Path) -> None:
    """Remove the note of an earlier supervisor."""
    (home / _FILE).unlink(missing_ok=True)


def silent_seconds(home: Path) -> float:
    """How long ago the supervisor's loop moved; 0 where it has not begun to."""
    try:
        return time.monotonic() - float((home / _FILE).read_text())
    except (OSError, ValueError):
        return 0.0


def arm(seconds: float = HANG_SECONDS) -> None:
    """Say that the loop moves: the time begins anew. To be called every BEAT_SECONDS."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.stderr)


def disarm() -> None:
    """Stop watching."""
    faulthandler.cancel_dump_traceback_later()
