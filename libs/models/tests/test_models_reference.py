"""Model references: what resolves, what is refused, and that a build happens once."""

import threading
from pathlib import Path

import pytest

from headrace_models.cache import build_once
from headrace_models.errors import ModelReferenceError
from headrace_models.reference import check, resolve


def test_an_unknown_reference_names_the_known_ones() -> None:
    for take in (check, resolve):
        for reference in ("smollm9", "./smollm2", "../models/smollm2"):
            with pytest.raises(ModelReferenceError, match=r"smollm2-135m-instruct.*hub id"):
                take(reference)


def test_a_folder_resolves_to_itself_when_it_is_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelReferenceError, match=r"config\.json"):
        resolve(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert resolve(str(tmp_path)) == tmp_path.resolve()


def test_a_hub_id_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for take in (check, resolve):
        with pytest.raises(ModelReferenceError, match="check the name"):
            take("nobody-here/no-such-model")


def test_what_can_be_had_passes_the_check(tmp_path: Path) -> None:
    check("smollm2-135m-instruct")
    (tmp_path / "config.json").write_text("{}")
    check(str(tmp_path))


def test_many_ask_and_one_builds(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "file").write_text("x")

    threads = [
        threading.Thread(target=build_once, args=(tmp_path / "target", build)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(built) == 1
    assert (tmp_path / "target" / "file").read_text() == "x"


def test_a_failed_build_is_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        build_once(tmp_path / "target", fail)
    build_once(tmp_path / "target", lambda folder: (folder / "whole").touch())

    assert [file.name for file in (tmp_path / "target").iterdir()] == ["whole"]
