"""Choose TCP ports that nothing else uses."""

import contextlib
import random
import socket

from headrace_stack.errors import StackError

HOST = "127.0.0.1"
# Below the range from which Linux (32768-) and macOS (49152-) take ports for outgoing connections,
# so that nothing slips into a chosen port between the choice and the bind.
FIRST, LAST = 20_000, 32_000
TRIES = 500


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback and of every interface."""
    for host in (HOST, "0.0.0.0"):  # noqa: S104 - a probe which is closed at once
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def free_port(taken: set[int] | None = None) -> int:
    """A free port, not one of `taken`; the choice is added to `taken`."""
    return free_range(1, taken)


def free_range(count: int, taken: set[int] | None = None) -> int:
    """The first of `count` free ports in a row; all are added to `taken`."""
    taken = set() if taken is None else taken
    choose = random.SystemRandom()
    for _ in range(TRIES):
        first = choose.randrange(FIRST, LAST - count)
        ports = range(first, first + count)
        if taken.isdisjoint(ports) and all(is_free(port) for port in ports):
            taken.update(ports)
            return first
    raise StackError(f"No {count} free ports in a row between {FIRST} and {LAST}. Stop something.")


def check_free(port: int, what: str, how: str) -> None:
    """Raise a StackError when `port` is in use; `how` says how to choose another."""
    if not is_free(port):
        raise StackError(
            f"Port {port} for {what} is in use by another program. Stop that program, or {how}."
        )
