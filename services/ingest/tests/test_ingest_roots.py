"""A manifest or a preview reads only what lies in the folders that are meant for sources."""

import json
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace_ingest.adapters.roots import Roots
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.settings import Settings

ROWS = "prompt,completion\na,b\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with files, beside others that are nobody's business."""
    for name in ("here/sub", "other", "here/storage/raw", "here-too"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.csv").write_text(ROWS)
    (tmp_path / "here/a.csv").write_text(ROWS)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def roots(place: Path, **sources: Any) -> Roots:
    return Roots.of(Settings(storage={"root": str(place / "here/storage")}, sources=sources))


def refused(found: Roots, path: Path | str) -> str:
    with pytest.raises(UnreadableSource) as raised:
        found.resolve(str(path))
    assert raised.value.param == "path"
    return raised.value.reason


def test_without_settings_the_current_folder_is_read(place: Path) -> None:
    found = roots(place)
    for path in ("a.csv", "./sub/../a.csv", "sub/a.csv", place / "here/sub/a.csv", "none.csv"):
        assert found.resolve(str(path)).is_relative_to(place / "here")
    for path in ("../other/a.csv", "sub/../../other/a.csv", place / "other/a.csv", "/etc/passwd",
                 "/", "~/.ssh/id_ed25519", place / "here-too/a.csv"):  # fmt: skip
        assert "HEADRACE_SOURCES__ROOTS" in refused(found, path)


def test_all_of_the_machine_is_read_only_where_that_is_declared(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storage at /data of a container, started in /, let every file of it be read."""
    monkeypatch.chdir("/")
    nothing = Roots.of(Settings(storage={"root": "/data-of-headrace"}))
    for path in ("/etc/passwd", "etc/passwd", place / "here/a.csv"):
        assert "HEADRACE_SOURCES__ROOTS" in refused(nothing, path)
    declared = Roots.of(Settings(storage={"root": "/data-of-headrace"}, sources={"roots": ["/"]}))
    assert declared.resolve(str(place / "here/a.csv")) == place / "here/a.csv"
    assert "HEADRACE_SOURCES__ROOTS" in refused(declared, "/data-of-headrace/raw/a.csv")


def test_a_line_that_names_no_folder_opens_none_and_stops_nothing(place: Path) -> None:
    listed = place / "roots"
    folder = json.dumps(str(place / "other"))
    listed.write_text(f'{folder}\n"/half-writ\n5\nnull\n""\n[]\n\n')
    found = roots(place, roots=[], roots_file=str(listed))
    assert found.resolve(str(place / "other/a.csv")) == place / "other/a.csv"
    assert "outside" in refused(found, place / "here/a.csv")
    listed.write_bytes(b'"\xff')
    assert "outside" in refused(found, place / "other/a.csv")


def test_links_are_followed_before_it_is_judged(place: Path) -> None:
    (place / "here/link.csv").symlink_to(place / "other/a.csv")
    (place / "here/linked").symlink_to(place / "other")
    (place / "here/inside.csv").symlink_to(place / "here/sub/a.csv")
    (place / "here/circle.csv").symlink_to(place / "here/circle.csv")
    for path in ("link.csv", "linked/a.csv", "linked/../a.csv"):
        assert "outside" in refused(roots(place), path)
    assert roots(place).resolve("inside.csv") == place / "here/sub/a.csv"
    refused_or_missing = roots(place)
    try:
        assert refused_or_missing.resolve("circle.csv").is_relative_to(place / "here")
    except UnreadableSource as error:
        assert "cannot be read" in error.reason


def test_the_tables_are_no_source(place: Path) -> None:
    assert "outside" in refused(roots(place), "storage/raw/a.csv")
    assert "outside" in refused(roots(place, roots=[str(place)]), "storage/raw/a.csv")


def test_declared_roots_replace_the_current_folder(place: Path) -> None:
    found = roots(place, roots=[str(place / "other"), str(place / "here/sub/a.csv")])
    assert found.resolve(str(place / "other/a.csv"))
    assert found.resolve("sub/a.csv")
    assert "outside" in refused(found, "a.csv")
    assert "outside" in refused(roots(place, roots=[]), "a.csv")


def test_a_list_that_grows_is_read_each_time(place: Path) -> None:
    listed = place / "roots.jsonl"
    found = roots(place, roots=[], roots_file=str(listed))
    refused(found, "a.csv")
    listed.write_text(json.dumps(str(place / "here")) + "\n\n")
    assert found.resolve("a.csv")


@pytest.mark.parametrize("path", ["a\x00b", "x" * 5000, "\ud83d.csv"])
def test_paths_that_are_none(place: Path, path: str) -> None:
    reason = refused(roots(place, roots=[]), path)
    reason.encode()
    assert len(reason) < 500


async def test_neither_preview_nor_manifest_reads_elsewhere(
    bench: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "s.csv"
    secret.write_text("prompt,completion\ntitkos,b\n")
    (bench.folder / "link.csv").symlink_to(secret)
    up = os.path.relpath(secret, bench.folder)
    transport = httpx2.ASGITransport(app=bench.service.api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://ingest") as client:
        for path in (str(secret), str(bench.folder / "link.csv"), str(bench.folder / up)):
            source = {"type": "file", "path": path}
            answer = await client.post("/sources/preview", json=source)
            assert answer.status_code == 400
            assert "outside the folders" in answer.json()["error"]["message"]
            await bench.apply(f"w{len(path)}", sources=[source])
            (job,) = await bench.run_jobs()
            assert (job.state, "outside the folders" in job.reason) == ("failed", True)
    assert not (bench.root / "raw").exists()
