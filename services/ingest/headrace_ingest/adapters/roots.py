"""Which files of the machine may be read as sources.

A manifest and a preview come from whoever may send one: without bounds either would read any file
that this process can read.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from headrace_events.locations import local_path
from headrace_events.text import as_name
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.settings import Settings

_SETTING = "HEADRACE_SOURCES__ROOTS"


class Roots:
    """The folders (or single files) of sources; the tables' own folder is never one."""

    def __init__(self, roots: Iterable[Path], listed: Path | None, never: Path | None) -> None:
        self._roots = [root.expanduser().resolve() for root in roots]
        self._listed = listed
        self._never = never.resolve() if never else None

    @classmethod
    def of(cls, settings: Settings) -> "Roots":
        """Return what the settings allow: without any, the current folder and the storage's own.

        The file system's root is a root only where it is declared.
        """
        storage = local_path(settings.storage.root)
        declared = settings.sources
        if declared.roots is not None:
            roots = [Path(root) for root in declared.roots]
        else:
            near = [Path.cwd(), *([storage.absolute().parent] if storage else [])]
            # In a container both may be `/`: nobody who declares nothing means all the machine.
            roots = [root for root in near if root.resolve() != Path(root.anchor)]
        return cls(roots, Path(declared.roots_file) if declared.roots_file else None, storage)

    def resolve(self, path: str) -> Path:
        """Return the file behind the path, all links and `..` followed; raise UnreadableSource."""
        shown = as_name(path)
        try:
            found = Path(path).expanduser().resolve()
        except (OSError, ValueError, RuntimeError) as error:  # no such path, or links in a circle
            raise UnreadableSource(
                f"`{shown}` cannot be read: {type(error).__name__}", param="path"
            ) from None
        inside = any(found.is_relative_to(root) for root in (*self._roots, *self._from_file()))
        if not inside or (self._never and found.is_relative_to(self._never)):
            raise UnreadableSource(
                f"`{shown}` is outside the folders that sources may be read from: put the file "
                f"into one of them, or name its folder in {_SETTING}",
                param="path",
            )
        return found

    def _from_file(self) -> list[Path]:
        if self._listed is None:
            return []
        try:
            lines = self._listed.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return []
        return [root for line in lines if (root := _path(line)) is not None]


def _path(line: str) -> Path | None:
    """The folder that a line names; None if it names none, as one that is just being written."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return Path(found) if isinstance(found, str) and found else None
