"""Artefacts (folders of files): digest, fetch, verify, write. Needs no torch.

An artefact travels in events as a URI and a digest; whoever loads one verifies it first.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from headrace_events.locations import local_path
from headrace_models.cache import build_once, cache_root, staged
from headrace_models.errors import ArtefactError

_CHUNK = 1 << 20


def digest(folder: Path) -> str:
    """`sha256:<hex>` over the sorted relative file names, sizes and contents of `folder`."""
    if not folder.is_dir():
        raise ArtefactError(f"no artefact at {folder}: the folder does not exist")
    total = hashlib.sha256()
    for name, file in _files(folder):
        total.update(f"{len(name.encode())}:{name}:{file.stat().st_size}:".encode())
        with file.open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                total.update(chunk)
    return f"sha256:{total.hexdigest()}"


def size_bytes(folder: Path) -> int:
    """The summed size of the files of `folder`."""
    return sum(file.stat().st_size for _, file in _files(folder))


def verify(folder: Path, expected: str) -> None:
    """Raise ArtefactError unless `folder` has the digest `expected`."""
    actual = digest(folder)
    if actual != expected:
        raise ArtefactError(
            f"artefact {folder} has digest {actual}, expected {expected}: it was changed or is "
            "incomplete; do not load it, restore it or train again"
        )


def fetch(uri: str, expected: str, cache: Path | None = None) -> Path:
    """The local folder of the artefact at `uri`, verified.

    A path or a file:// URI is used in place; anything else that fsspec knows (s3://, gs://, ...)
    is copied once into the cache, under its digest.
    """
    local = local_path(uri)
    if local is not None:
        verify(local, expected)
        return local
    target = (cache or cache_root()) / "artefacts" / expected.replace(":", "-")

    def download(folder: Path) -> None:
        _download(uri, folder)
        verify(folder, expected)

    build_once(target, download)
    verify(target, expected)
    return target


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Write an artefact: fill the folder given; it appears at `target` whole, or not at all."""
    if target.exists():
        raise ArtefactError(f"artefact {target} exists already: artefacts are never overwritten")
    with staged(target) as work:
        yield work


def upload(folder: Path, uri: str) -> None:
    """Copy the files of `folder` to `uri`; to a local place atomically."""
    local = local_path(uri)
    if local is not None:
        with writing(local) as work:
            shutil.copytree(folder, work, dirs_exist_ok=True)
        return
    import fsspec

    filesystem, root = fsspec.core.url_to_fs(uri)
    for name, file in _files(folder):
        filesystem.put_file(str(file), f"{root.rstrip('/')}/{name}")


def _files(folder: Path) -> list[tuple[str, Path]]:
    found = [
        (file.relative_to(folder).as_posix(), file) for file in folder.rglob("*") if file.is_file()
    ]
    return sorted(found)


def _inside(name: str, root: str, uri: str) -> PurePosixPath:
    """The place of an object below its artefact's root; keys may hold `..`, folders must not."""
    relative = PurePosixPath(name.removeprefix(root).lstrip("/"))
    if not name.startswith(root) or not relative.parts or ".." in relative.parts:
        raise ArtefactError(
            f"artefact {uri} has an object whose key leads out of it: do not load it, make it anew"
        )
    return relative


def _download(uri: str, folder: Path) -> None:
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(uri)
        names = filesystem.find(root)
        if not names:
            raise ArtefactError(f"no artefact at {uri}: there are no files")
        for name in names:
            target = folder / _inside(name, root, uri)
            target.parent.mkdir(parents=True, exist_ok=True)
            filesystem.get_file(name, str(target))
    except (OSError, ImportError, ValueError) as error:
        raise ArtefactError(
            f"cannot fetch artefact {uri} ({type(error).__name__}): "
            "check that it exists and that this service may read it"
        ) from error
