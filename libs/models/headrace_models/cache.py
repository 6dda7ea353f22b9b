"""Where downloaded and converted things lie, and how one is built exactly once."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace_models.errors import ModelReferenceError


def cache_root() -> Path:
    """`HEADRACE_CACHE`, or `~/.cache/headrace`."""
    configured = os.environ.get("HEADRACE_CACHE")
    if configured:
        return Path(configured).expanduser()
    try:
        return Path.home() / ".cache" / "headrace"
    except RuntimeError as error:
        raise ModelReferenceError(
            "this user has no home folder: set HEADRACE_CACHE to a folder for models"
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; the system frees it when a holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `target` when the block ends well, else vanishes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        work.chmod(0o755)  # mkdtemp makes it private; other services read artefacts
        yield work
        for file in work.rglob("*"):
            if file.is_file():
                file.chmod(0o644)
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
        work.rename(target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def build_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Return the folder `target`, built by the first process that asks for it."""
    if target.is_dir():
        return target
    with locked(target.parent / f".{target.name}.lock"):
        if not target.is_dir():
            with staged(target) as work:
                build(work)
    return target
