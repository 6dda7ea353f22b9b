"""Artefacts: digest, verification, fetching, atomic writing; all without torch."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from headrace_events.locations import local_path
from headrace_models import artefact
from headrace_models.errors import ArtefactError


def _folder(root: Path, **files: str) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_digest_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    one = _folder(tmp_path / "one", **{"a.txt": "1", "sub/b.txt": "2"})
    same = _folder(tmp_path / "same", **{"sub/b.txt": "2", "a.txt": "1"})
    renamed = _folder(tmp_path / "renamed", **{"a.txt": "1", "sub/c.txt": "2"})
    shifted = _folder(tmp_path / "shifted", **{"a.txt": "12", "sub/b.txt": ""})

    assert artefact.digest(one) == artefact.digest(same)
    assert artefact.digest(one).startswith("sha256:")
    assert len({artefact.digest(folder) for folder in (one, renamed, shifted)}) == 3


def test_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "adapter", **{"weights": "abcd"})
    promised = artefact.digest(folder)
    artefact.verify(folder, promised)
    (folder / "weights").write_text("abce")

    with pytest.raises(ArtefactError, match="do not load it"):
        artefact.fetch(folder.as_uri(), promised)


def test_a_missing_artefact_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="does not exist"):
        artefact.fetch(str(tmp_path / "nowhere"), "sha256:0")


def test_a_local_uri_is_used_in_place_and_spaces_survive(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "with space", **{"weights": "abcd"})
    assert artefact.fetch(folder.as_uri(), artefact.digest(folder)) == folder


@pytest.mark.parametrize("name", ["űr tár %1 #2", "a%41?b", "x:y", "[1]\nz"])
def test_a_local_artefact_lies_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    folder = _folder(tmp_path / name / "made", **{"weights": "abcd"})
    promised = artefact.digest(folder)
    assert artefact.fetch(folder.as_uri(), promised) == folder
    assert artefact.fetch(str(folder), promised) == folder
    target = tmp_path / name / "kept" / "adapter"
    artefact.upload(folder, target.as_uri())
    assert artefact.fetch(str(target), promised) == target


def test_a_uri_that_somebody_wrote_without_encoding_it_is_the_path_that_it_shows() -> None:
    assert local_path("file:///data/a#b?c") == Path("/data/a#b?c")
    assert local_path("file://localhost/data/a%20b") == Path("/data/a b")
    assert local_path("file:/data") == Path("/data")
    assert local_path("s3://bucket/a") is None
    assert local_path("relative:1/a") == Path("relative:1/a")


def test_a_remote_artefact_is_copied_once_and_verified(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "adapter", **{"a": "1", "sub/b": "2"})
    uri = "memory://headrace-test/adapter"
    artefact.upload(folder, uri)

    fetched = artefact.fetch(uri, artefact.digest(folder), cache=tmp_path / "cache")

    assert artefact.digest(fetched) == artefact.digest(folder)
    (fetched / "a").write_text("changed in the cache")
    with pytest.raises(ArtefactError):
        artefact.fetch(uri, artefact.digest(folder), cache=tmp_path / "cache")


def test_a_bad_download_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "adapter", **{"a": "1"})
    uri = "memory://headrace-test/bad"
    artefact.upload(folder, uri)

    with pytest.raises(ArtefactError):
        artefact.fetch(uri, "sha256:0", cache=tmp_path / "cache")

    assert [p for p in (tmp_path / "cache" / "artefacts").iterdir() if p.is_dir()] == []


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "artefact"
    with pytest.raises(RuntimeError), artefact.writing(target) as work:
        (work / "half").write_text("x")
        raise RuntimeError

    assert list(tmp_path.iterdir()) == []


def test_an_artefact_is_never_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "artefact"
    with artefact.writing(target) as work:
        (work / "a").write_text("1")
    with pytest.raises(ArtefactError, match="never overwritten"), artefact.writing(target):
        pass
    assert (target / "a").read_text() == "1"


def test_artefacts_need_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None;"
        "import headrace_models.artefact, headrace_models.reference, headrace_models.loading,"
        "headrace_models.chat, headrace_models.generation, headrace_models.scoring"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("key", ["../evil", "sub/../../evil", "/../evil"])
def test_a_key_that_leads_out_of_the_artefact_writes_nothing(tmp_path: Path, key: str) -> None:
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model/weights", "w")
        archive.writestr(f"model/{key}", "evil")
    cache = tmp_path / "cache"
    with pytest.raises(ArtefactError, match="leads out of it"):
        artefact.fetch(f"zip://model::{packed.as_uri()}", "sha256:0", cache)
    assert list(tmp_path.rglob("evil")) == list(tmp_path.rglob("weights")) == []
