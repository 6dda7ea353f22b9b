"""A process whose event loop stands still ends, with every thread's stack in its log.

The timer is faulthandler's: a thread of C, which needs neither the loop nor Python's lock. So it
also ends what hangs in a regular expression, or in a library that keeps the lock.
"""

import faulthandler
import sys

BEAT_SECONDS = 2.0
HANG_SECONDS = 60.0
"""Far above what a loaded machine makes a loop wait. A machine that sleeps does not count on."""
STALE_SECONDS = 15.0
"""So long after the last beat `status` no longer believes what was written down."""


def arm(seconds: float = HANG_SECONDS) -> None:
    """Say that the loop moves: the time begins anew. To be called every BEAT_SECONDS."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.stderr)


def disarm() -> None:
    """Stop watching."""
    faulthandler.cancel_dump_traceback_later()
