"""Which folders ingest may read: those that the stack's user works in, as the CLI lists them."""

import json
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from headrace_ingest.adapters.roots import Roots
from headrace_ingest.settings import Settings
from headrace_stack import bootstrap, manifests, source_roots
from headrace_stack.cli import app
from headrace_stack.commands.apply import command, preview
from headrace_stack.plan import Options, make_plan
from headrace_stack.source_roots import allow, roots_file

MANIFEST = """
apiVersion: headrace/v1
kind: Workload
metadata: {name: w}
spec: {data: {sources: [{type: file, path: a.csv}]}}
"""


def _ingest(home: Path, monkeypatch: pytest.MonkeyPatch) -> Roots:
    """Ingest's roots under the environment that the stack gives it."""
    plan = make_plan(Options(home, None, None, ("ingest",), 1.0), "localhost:9092", set())
    (part,) = [part for part in plan.parts if part.name == "ingest"]
    with monkeypatch.context() as patch:
        for name, value in part.environment.items():
            patch.setenv(name, value)
        return Roots.of(Settings())


def test_the_list_has_each_folder_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for folder in (tmp_path / "a", tmp_path / "x/../a", tmp_path / "ő b", Path("/")):
        allow(home, folder)
    lines = roots_file(home).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [str(tmp_path / "a"), str(tmp_path / "ő b")]


def test_two_commands_at_once_both_get_their_folder(tmp_path: Path) -> None:
    threads = [Thread(target=allow, args=(tmp_path, tmp_path / str(n))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = roots_file(tmp_path).read_text().splitlines()
    assert sorted(map(json.loads, lines)) == sorted(str(tmp_path / str(n)) for n in range(20))


def test_an_applied_manifest_opens_its_folder_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    for folder in (work, tmp_path / "other", home):
        folder.mkdir()
        (folder / "a.csv").write_text("prompt,completion\na,b\n")
    (work / "w.yaml").write_text(MANIFEST)
    ingest = _ingest(home, monkeypatch)
    with pytest.raises(Exception, match="outside"):
        ingest.resolve(str(work / "a.csv"))
    published: list[str] = []

    async def publish(servers: str, manifest: manifests.Manifest) -> SimpleNamespace:
        # Ingest may hear of it at once: the folder is open by now.
        published.append(str(ingest.resolve(manifest.spec.data.sources[0].path or "")))
        return SimpleNamespace(data=SimpleNamespace(revision="r"))

    monkeypatch.setenv("HEADRACE_HOME", str(home))
    for module in (bootstrap, command, preview):
        monkeypatch.setattr(module, "live_state", lambda _: SimpleNamespace(kafka="k:1"))
    monkeypatch.setattr(manifests, "publish", publish)
    done = CliRunner().invoke(app, ["apply", "-f", str(work / "w.yaml")])
    assert done.exit_code == 0, done.output
    assert published == [str(work / "a.csv")]
    for other in (tmp_path / "other/a.csv", home / "a.csv", Path("/etc/passwd")):
        with pytest.raises(Exception, match="outside"):
            ingest.resolve(str(other))


def test_the_users_own_setting_counts_beside_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_SOURCES__ROOTS", json.dumps([str(tmp_path / "data")]))
    source_roots.allow(tmp_path / "home", tmp_path / "work")
    ingest = _ingest(tmp_path / "home", monkeypatch)
    assert ingest.resolve(str(tmp_path / "data/a.csv"))
    assert ingest.resolve(str(tmp_path / "work/a.csv"))
