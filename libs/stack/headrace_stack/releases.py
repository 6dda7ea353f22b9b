"""Frozen releases of the contracts: `schemas/baseline.yaml` and `schemas/released/<version>/`."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from headrace_events import yaml_text
from headrace_events.compat import Acknowledged, Contracts
from headrace_stack.errors import StackError

_FROZEN = ("topics/*.yaml", "events/*.json", "events/examples/*.json")
_BASELINE_HEADER = (
    "# The release that the contracts must stay compatible with, and the commit it was made from.\n"
    "# Written by `headrace schemas release`; do not edit.\n"
)
_AGREED_HEADER = (
    "# Changes that the release before cannot read: each passes `headrace schemas check` only if\n"
    "# it stands here, because somebody rolls the consumers out before a producer uses it.\n"
    "# An entry: {where, path, change, reason}, the first three as `check` prints them.\n"
    "# `headrace schemas release` empties the list.\n"
)


@dataclass(frozen=True)
class Baseline:
    """The last release."""

    version: str
    commit: str
    digest: str
    """SHA-256 over the names and contents of the frozen files: they never change."""

    @property
    def major(self) -> tuple[int, ...]:
        """What may break when it rises: before 1.0 the minor version."""
        return major(self.version)


def major(version: str) -> tuple[int, ...]:
    """Return the part of a version within which contracts stay compatible."""
    found = numbers(version)
    return found[:1] if found[0] else found[:2]


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as three numbers; refuse anything else."""
    try:
        found = tuple(int(part) for part in version.split("."))
    except ValueError:
        found = ()
    if len(found) != 3:
        raise StackError(f"`{version}` is no version like 1.4.0.")
    return found


def read_baseline(schemas: Path) -> Baseline:
    """Return the baseline; refuse one whose frozen files were touched."""
    file = schemas / "baseline.yaml"
    try:
        baseline = Baseline(**yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, TypeError) as error:
        raise StackError(
            f"{file} names no release. Run this in the repository, or name the folder of the "
            "contracts; `headrace schemas release VERSION` makes the first baseline."
        ) from error
    folder = folder_of(schemas, baseline.version)
    if digest(folder) != baseline.digest:
        raise StackError(
            f"The frozen files in {folder} are not those of release {baseline.version}: "
            "a release never changes. Restore them with `git checkout`."
        )
    return baseline


def folder_of(schemas: Path, version: str) -> Path:
    """Return where a release's files are."""
    return schemas / "released" / version


def load(folder: Path) -> Contracts:
    """Return the contracts that the files in `folder` hold."""
    return Contracts(
        topics={
            path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
            for path in sorted(folder.glob("topics/*.yaml"))
        },
        schemas={
            path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(folder.glob("events/*.json"))
        },
    )


def digest(folder: Path) -> str:
    """Return the SHA-256 over names and contents."""
    total = hashlib.sha256()
    for path in sorted(path for pattern in _FROZEN for path in folder.glob(pattern)):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(path.read_bytes() + b"\0")
    return f"sha256:{total.hexdigest()}"


def read_agreed(schemas: Path) -> list[Acknowledged]:
    """Return the changes for which the consumers are rolled out first."""
    file = schemas / "consumers-first.yaml"
    if not file.exists():
        return []
    try:
        entries = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("changes", [])
        return [Acknowledged(**entry) for entry in entries]
    except (TypeError, AttributeError, yaml.YAMLError) as error:
        raise StackError(
            f"{file} is not a list `changes` of entries with where, path, change and reason."
        ) from error


def freeze(schemas: Path, version: str, commit: str) -> Baseline:
    """Keep the contracts of `commit` as release `version`, and make it the baseline."""
    folder = folder_of(schemas, version)
    if folder.exists():
        raise StackError(f"Release {version} is frozen already in {folder}; it never changes.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with unpacked(schemas, commit, folder.parent / f".{version}") as contents:
        for pattern in _FROZEN:
            for path in contents.glob(pattern):
                target = folder / path.relative_to(contents)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    baseline = Baseline(version, commit, digest(folder))
    fields: dict[str, Any] = {
        "version": baseline.version,
        "commit": baseline.commit,
        "digest": baseline.digest,
    }
    text = _BASELINE_HEADER + yaml_text.dump(fields)
    (schemas / "baseline.yaml").write_text(text, encoding="utf-8")
    agreed = schemas / "consumers-first.yaml"
    agreed.write_text(_AGREED_HEADER + yaml_text.dump({"changes": []}), encoding="utf-8")
    return baseline


@contextmanager
def unpacked(schemas: Path, commit: str, folder: Path) -> Iterator[Path]:
    """Unpack the contracts of a commit into `folder` for the time of the block."""
    prefix = git(schemas, "rev-parse", "--show-prefix").decode().strip().rstrip("/")
    # `commit:path` is a tree: its files come without the path before them.
    top = git(schemas, "rev-parse", "--show-toplevel").decode().strip()
    packed = git(Path(top), "archive", f"{commit}:{prefix}")
    try:
        unpack(packed, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack(packed: bytes, folder: Path) -> None:
    """Unpack what `git archive` made."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        # Python 3.11.0 to 3.11.3 know no filters.
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)  # noqa: S202 - our own repository's files


def resolve(schemas: Path, revision: str) -> str:
    """Return the full SHA of a revision."""
    name = f"{revision}^{{commit}}"
    return git(schemas, "rev-parse", "--verify", "--quiet", name).decode().strip()


def git(folder: Path, *arguments: str) -> bytes:
    """Run git in `folder`."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=True
        )
    except FileNotFoundError as error:
        raise StackError("git is missing: a release is frozen from a commit.") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip() or "no such commit"
        raise StackError(f"git {arguments[0]} failed in {folder}: {said}") from error
    return done.stdout
