"""A clone in a folder with a space, an accent, `%` and `#`: it makes data, and comes up again.

The interpreter too lies in that folder, as in a clone; there is no HOME, and the locale is C.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace_stack import ray_head

ROOT = Path(__file__).parents[2]
ODD = "űr tár %1 #2"
MANIFEST = """\
apiVersion: headrace/v1
kind: Workload
metadata: {name: anywhere, owner: tests}
spec: {data: {sources: [{type: file, path: sorok.csv}], min_rows: 20}}
"""
RAY_TASK = """\
import os, sys, ray
ray.init(address=os.environ["RAY_AT"], log_to_driver=False)
print(ray.get(ray.remote(lambda: 6 * 7).remote()))
"""
PARTS = ("--only", "kafka,mlflow,ray,ingest,data-quality")


@dataclass(frozen=True)
class Clone:
    """A folder with what `make setup` leaves in one, and a way to run Headrace in it."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run this clone's Python."""
        return subprocess.run(
            [str(self.folder / ".venv" / "bin" / "python"), "-P", *arguments],
            cwd=self.folder,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def headrace(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command line in the folder, with the home that it takes there."""
        return self.run("-m", "headrace_stack", *arguments)

    def seen(self, type_: str) -> list[dict[str, object]]:
        """Return the events of a type, from the beginning of the log."""
        tail = self.headrace(
            "events", "tail", "--from-beginning", "--no-follow", "--json", "--data", "--type", type_
        )
        assert tail.returncode == 0, tail.stderr
        return [json.loads(line) for line in tail.stdout.splitlines()]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    folder = tmp_path / ODD
    folder.mkdir()
    (folder / ".venv").symlink_to(sys.prefix)
    left_out = ("HOME", "HEADRACE_HOME", "LANG", "LC_CTYPE", "PYTHONUTF8", "PYTHONIOENCODING")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    made = Clone(folder, {**environment, "LC_ALL": "C", "NO_COLOR": "1", "COLUMNS": "160"})
    try:
        yield made
    finally:
        made.headrace("down")


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_the_stack_makes_a_dataset_and_comes_up_again(clone: Clone) -> None:
    rows = "".join(f"kérdés {n}: mi ez?,válasz {n * 7919}\n" for n in range(60))
    (clone.folder / "sorok.csv").write_text(f"prompt,completion\n{rows}", encoding="utf-8")
    (clone.folder / "workload.yaml").write_text(MANIFEST, encoding="utf-8")
    up = clone.headrace("up", "--detach", *PARTS)
    assert up.returncode == 0, up.stdout + up.stderr
    applied = clone.headrace("apply", "-f", "workload.yaml")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    deadline = time.monotonic() + 120
    while not (made := clone.seen("dataset.curated")):
        failed = clone.seen("dataset.rejected") + clone.seen("records.rejected")
        assert not failed and time.monotonic() < deadline, failed
        time.sleep(1)

    status = json.loads(clone.headrace("status", "--json").stdout)
    home = clone.folder.resolve() / ".headrace"
    assert status["home"] == str(home)
    worked = clone.run("-c", RAY_TASK, RAY_AT=status["ray"], **ray_head.environment(home))
    assert worked.stdout.strip().endswith("42"), worked.stderr[-2000:]
    assert (home / "storage" / "datasets" / "anywhere" / "_delta_log").is_dir()

    assert clone.headrace("down").returncode == 0
    again = clone.headrace("up", "--detach", *PARTS)
    assert again.returncode == 0, again.stdout + again.stderr
    assert clone.seen("dataset.curated") == made
    around = {path.name for path in clone.folder.parent.iterdir()}
    assert around == {ODD}, "data lie beside the folder, under a garbled name"


@pytest.mark.faults_long
@pytest.mark.timeout(5400)
def test_make_demo_turns_the_loop_in_a_clone_there(tmp_path: Path) -> None:
    folder = tmp_path / ODD
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("HEADRACE_HOME", "VIRTUAL_ENV")}
    try:
        done = subprocess.run(
            ["make", "demo"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
        assert "The loop turned twice" in done.stdout
        left = subprocess.run(
            ["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True
        )
        assert not left.stdout, "the demo leaves files in the checkout"
    finally:
        command = f"{shlex.quote(str(folder / '.venv/bin/headrace'))} down"
        subprocess.run(["sh", "-c", command], cwd=folder, check=False)
        shutil.rmtree(folder, ignore_errors=True)
