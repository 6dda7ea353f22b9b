"""A checkout of the release before, and a stack that takes parts of it."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace_stack import paths, releases
from headrace_stack.testing import RunningStack

ROOT = Path(__file__).parents[2]
BASELINE = releases.read_baseline(ROOT / "schemas")


@pytest.fixture(scope="session")
def baseline_commit() -> str:
    """Return the release's commit, if this clone has it."""
    commit = BASELINE.commit
    known = subprocess.run(
        ["git", "-C", str(ROOT), "cat-file", "-e", f"{commit}^{{commit}}"],
        capture_output=True,
        check=False,
    )
    if known.returncode:
        pytest.skip(f"commit {commit[:10]} of release {BASELINE.version} is not in this clone")
    return commit


@pytest.fixture(scope="session")
def released(baseline_commit: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the whole release: unpacked, so that nothing of it stays in .git."""
    packed = releases.git(ROOT, "archive", baseline_commit)
    folder = tmp_path_factory.mktemp("released")
    releases.unpack(packed, folder)
    return folder


Checkout = Callable[[str], Path]


@pytest.fixture
def checkout(released: Path) -> Checkout:
    """Return `checkout(service)`: the release, able to run that service.

    With another lock than ours it gets an environment of its own, else ours fits.
    """

    def make(service: str) -> Path:
        if (released / "uv.lock").read_bytes() != (ROOT / "uv.lock").read_bytes():
            subprocess.run(
                [_uv(), "sync", "--quiet", "--locked", "--no-dev", "--inexact",
                 "--package", f"headrace-{service}"],
                cwd=released, check=True,
            )  # fmt: skip
        return released

    return make


def _uv() -> str:
    """Return the uv that set-up found or installed; it need not be on the PATH."""
    places = [
        shutil.which("uv"),
        paths.cache_folder() / "tools/bin/uv",
        Path.home() / ".local/bin/uv",
    ]
    for place in places:
        if place and Path(place).exists():
            return str(place)
    pytest.fail("uv is missing, and the release has another uv.lock: run `make setup`")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., RunningStack]]:
    """Return `up(*parts)`: a stack of these parts, taken down afterwards."""
    running = RunningStack(tmp_path / ".headrace")

    def start(*parts: str) -> RunningStack:
        only = ("--only", ",".join(parts)) if parts else ()
        done = running.headrace("up", "--detach", *only)
        if done.returncode:
            pytest.fail(f"the stack did not come up: {done.stdout}{done.stderr}")
        return running

    yield start
    running.headrace("down")
