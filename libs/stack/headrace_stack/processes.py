"""Start child processes that cannot outlive us unseen, and stop whole trees of them."""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from headrace_stack.paths import STACK_ID_VARIABLE

PR_SET_PDEATHSIG = 1
TERM_SECONDS = 10.0
MANY_FILES = 16_384


def die_with_parent() -> Callable[[], None] | None:
    """What a child runs before exec, so that the kernel ends it when its parent dies (Linux).

    The kernel watches the parent *thread*: start children from a thread that lives on.
    """
    if sys.platform != "linux":
        return None  # elsewhere `headrace down` finds the orphans by their environment
    # Loaded here, before the fork: after it, a child of a threaded process must not allocate.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    term = int(signal.SIGTERM)
    return lambda: prctl(PR_SET_PDEATHSIG, term)


def spawn(
    command: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    *,
    dies_with_parent: bool = True,
) -> subprocess.Popen[bytes]:
    """Start `command` in its own process group, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:  # append mode: the log may be cut while the child writes
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,  # Ctrl-C reaches the supervisor only, which stops in order
            preexec_fn=die_with_parent() if dies_with_parent else None,  # noqa: PLW1509 - one prctl call, nothing else
        )


def allow_many_files() -> None:
    """Let this process and its children open as many files as they may: two a connection.

    The soft limit of 1,024 is for programs that use `select`, which none of the stack does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has one more limit beneath
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def family(process: psutil.Process) -> list[psutil.Process]:
    """The process and all that it started, deepest first."""
    try:
        return [*reversed(process.children(recursive=True)), process]
    except psutil.NoSuchProcess:
        return []


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and all that it started; pages shared by them count twice."""
    total = 0
    try:
        members = family(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return 0
    for member in members:
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total


def stop_all(processes: Iterable[psutil.Process], seconds: float = TERM_SECONDS) -> None:
    """Ask each process to end, wait, and end by force what is still there."""
    left = list(processes)
    if seconds > 0:
        for process in left:
            _signal(process, signal.SIGTERM)
        _, left = psutil.wait_procs(left, timeout=seconds)
    for process in left:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=5)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def marked_processes(stack: str, command_words: Iterable[str] = ()) -> list[psutil.Process]:
    """Processes of the stack: by the mark in their environment, or a word of their command line.

    Ray's workers overwrite their environment with a title; they are found as descendants.
    This process and its ancestors are never among them.
    """
    me = psutil.Process()
    spared = {me.pid, *(parent.pid for parent in me.parents())}
    words = tuple(command_words)
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid in spared or process.pid in found:
            continue
        try:
            marked = process.environ().get(STACK_ID_VARIABLE) == stack
            if not marked and words:
                line = " ".join(process.cmdline())
                marked = any(word in line for word in words)
        except (psutil.Error, OSError):
            continue
        if marked:
            found.update({one.pid: one for one in family(process) if one.pid not in spared})
    return list(found.values())


def sweep(stack: str, command_words: Iterable[str] = (), seconds: float = TERM_SECONDS) -> int:
    """Stop every process of the stack, and what those start meanwhile; the number stopped."""
    words = tuple(command_words)
    stopped = 0
    for _ in range(5):
        left = [p for p in marked_processes(stack, words) if p.status() != psutil.STATUS_ZOMBIE]
        if not left:
            break
        stopped += len(left)
        stop_all(left, seconds)
        time.sleep(0.1)
    return stopped


def child_environment(stack: str, **extra: str) -> dict[str, str]:
    """The environment of a child: ours, the mark of the stack, and `extra`.

    Python imports nothing from the current folder, which is the user's and may hold a `json.py`.
    """
    own = {**os.environ, STACK_ID_VARIABLE: stack, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    # An empty entry of the path is the current folder too.
    if path := os.pathsep.join(filter(None, own.pop("PYTHONPATH", "").split(os.pathsep))):
        own["PYTHONPATH"] = path
    return {**own, **extra}
