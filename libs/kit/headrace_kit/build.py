"""Which release this is, and of which commit, where that is known."""

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

COMMIT_VARIABLE = "HEADRACE_COMMIT"
"""Images set it; a checkout needs nothing."""
_SHORT = 10
_HEXADECIMAL = frozenset("0123456789abcdef")


def release(package: str) -> str:
    """Return the version of an installed package; `unknown` where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


@cache
def commit() -> str:
    """Return the commit that this code is of when it is asked first; nothing where not known."""
    told = os.environ.get(COMMIT_VARIABLE, "").strip().lower()
    return _short(told) or _of_checkout(Path(__file__).resolve())


def described(package: str) -> str:
    """Return release, commit and Python in one line."""
    of = f" (commit {commit()})" if commit() else ""
    return f"{release(package)}{of}, Python {platform.python_version()}"


def _of_checkout(file: Path) -> str:
    """Read it from the files of Git: images have no `git`."""
    for folder in file.parents:
        if (folder / ".git").exists():
            try:
                return _short(_head(folder / ".git"))
            except OSError:
                return ""
    return ""


def _head(git: Path) -> str:
    if git.is_file():  # a work tree beside the repository
        git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return head
    name = head.removeprefix("ref:").strip()
    shared = git / "commondir"
    roots = [git, (git / shared.read_text().strip()).resolve()] if shared.exists() else [git]
    for root in roots:
        if (root / name).exists():
            return (root / name).read_text().strip()
    packed = (roots[-1] / "packed-refs").read_text().splitlines()
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")


def _short(text: str) -> str:
    return text[:_SHORT] if len(text) >= _SHORT and set(text) <= _HEXADECIMAL else ""
