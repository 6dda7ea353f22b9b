"""Folders whose files ingest may read as sources: those that the stack's user works in.

`headrace up` adds the current folder, `headrace apply` the manifest's, the demo its file. Whoever
may only send an event or an HTTP request can add none.
"""

import json
import os
from pathlib import Path

FILE = "source-roots.jsonl"


def roots_file(home: Path) -> Path:
    """Return the list's place; ingest reads it each time."""
    return home / FILE


def allow(home: Path, root: Path) -> None:
    """Let the stack at `home` read files under `root`; the root of all folders is not taken."""
    line = json.dumps(str(root.resolve()))
    if root.resolve() == Path(root.resolve().anchor):
        return
    file = roots_file(home)
    try:
        known = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        known = []
    if line in known:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # One write at the end of the file: two commands at once both get their line.
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)
