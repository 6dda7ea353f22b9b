"""`headrace schemas` and a service from another checkout, as their users meet them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace_events.compat import Contracts, present
from headrace_stack import releases, services
from headrace_stack.cli import app
from headrace_stack.elsewhere import start_of, variable
from headrace_stack.errors import StackError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the contracts, free to be hurt."""
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    for name in ("kafka", "helm"):
        shutil.copytree(ROOT / "infra" / name, tmp_path / "infra" / name)
    return tmp_path / "schemas"


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return `changed(type, field)`: the present code without a field of an event type."""

    def change(event_type: str, field: str) -> None:
        now = present()
        schema = json.loads(json.dumps(now.schemas[event_type]))
        del schema["properties"][field]
        schema["required"].remove(field)
        cut = Contracts(now.topics, {**now.schemas, event_type: schema})
        monkeypatch.setattr("headrace_events.compat.present", lambda: cut)

    return change


def test_check_passes_on_what_is_committed(folder: Path) -> None:
    done = CliRunner().invoke(app, ["schemas", "check", str(folder)])
    assert done.exit_code == 0, done.output
    assert "compatible with release" in done.output


def test_check_names_a_file_that_is_not_exported(folder: Path) -> None:
    (folder / "topics" / "headrace.models.yaml").unlink()
    (folder.parent / "infra" / "kafka" / "acls.yaml").write_text("")
    done = CliRunner().invoke(app, ["schemas", "check", str(folder)])
    assert done.exit_code == 1
    assert "headrace.models.yaml" in done.output
    assert "acls.yaml" in done.output


def test_check_and_diff_name_field_and_roll_out_order(
    folder: Path, changed: Callable[[str, str], None]
) -> None:
    changed("training.completed.v1", "run_id")
    done = CliRunner().invoke(app, ["schemas", "check", str(folder)])
    assert done.exit_code == 1
    assert "training.completed.v1  $.run_id\n" in done.output
    order = "first the consumers (registry, monitor), then the producers (trainer)"
    assert order in done.output
    found = json.loads(CliRunner().invoke(app, ["schemas", "check", str(folder), "--json"]).output)
    assert not found["ok"]
    assert [r["path"] for r in found["refused"]] == ["$.run_id"]
    table = CliRunner().invoke(app, ["schemas", "diff", str(folder), "--json"]).output
    assert "$.run_id" in table


SOURCES = "    sources: tuple[str, ...]\n"
PLANTED = {
    "rename": ("data.py", SOURCES, "    origins: tuple[str, ...]\n"),
    "type": ("data.py", SOURCES, "    sources: dict[str, int]\n"),
    "required": ("data.py", SOURCES, SOURCES + "    licence: str\n"),
    "enum": ("data.py", 'Literal["records", "drift"]', 'Literal["records"]'),
    "optional": ("data.py", SOURCES, SOURCES + "    licence: str | None = None\n"),
    "key": ("topics.py", 'key="request_id"', 'key="workload"'),
    "partitions": ("topics.py", "_INFERENCE_PARTITIONS = 4", "_INFERENCE_PARTITIONS = 8"),
}
DATA_QUALITY_FIRST = "first the producers (data-quality), then the consumers (trainer, "
READERS_FIRST = "monitor), then the producers (data-quality)"


class Planted:
    """The code of the contracts with one change in it, as its author meets the check."""

    def __init__(self, folder: Path, change: str) -> None:
        self._source = folder.parent / "source"
        self._folder = folder
        shutil.copytree(ROOT / "libs/events/headrace_events", self._source / "headrace_events")
        name, old, new = PLANTED[change]
        file = self._source / "headrace_events" / name
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))

    def schemas(self, verb: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "headrace_stack", "schemas", verb, str(self._folder)],
            env={**os.environ, "PYTHONPATH": str(self._source), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("rename", ["dataset.curated.v1  $.sources", "renamed to `origins`", READERS_FIRST]),
        ("type", ["dataset.curated.v1  $.sources", "type changed", READERS_FIRST]),
        ("required", ["dataset.curated.v1  $.licence", "new required", DATA_QUALITY_FIRST]),
        ("enum", ["dataset.curated.v1  $.trigger", '"drift" removed', DATA_QUALITY_FIRST]),
        ("key", ["headrace.inference-admitted  key", "first the consumers (serving)"]),
        ("partitions", ["headrace.inference-admitted  partitions", "4 → 8"]),
    ],
)
def test_a_break_in_the_code_is_refused_by_name(folder: Path, change: str, said: list[str]) -> None:
    done = Planted(folder, change).schemas("check")
    assert done.returncode == 1
    assert done.stderr == ""
    assert all(part in done.stdout for part in said), done.stdout
    assert "Not compatible with release" in done.stdout


def test_an_optional_field_passes_once_it_is_exported(folder: Path) -> None:
    planted = Planted(folder, "optional")
    stale = planted.schemas("check")
    assert (stale.returncode, "run `make schemas`" in stale.stdout) == (1, True)
    assert planted.schemas("export").returncode == 0
    done = planted.schemas("check")
    assert done.returncode == 0, done.stdout


def test_an_example_that_does_not_fit_is_named(folder: Path) -> None:
    planted = Planted(folder, "required")
    said = "The example of DatasetCurated in headrace_events/examples does not fit: licence"
    assert said in planted.schemas("check").stdout
    done = planted.schemas("export")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_frozen_release_cannot_be_edited(folder: Path) -> None:
    (frozen,) = (folder / "released").glob("*/events/feedback.given.v1.json")
    frozen.write_text(frozen.read_text().replace('"rating"', '"stars"'))
    done = CliRunner().invoke(app, ["schemas", "check", str(folder)])
    assert isinstance(done.exception, StackError)
    assert "a release never changes" in str(done.exception)


def test_a_release_freezes_the_contracts_of_its_commit(
    folder: Path, changed: Callable[[str, str], None]
) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        done = subprocess.run(
            ["git", "-C", str(folder.parent), *who, *arguments],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def release(version: str) -> Any:
        return CliRunner().invoke(app, ["schemas", "release", version, "--folder", str(folder)])

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "contracts")
    committed = sorted(path.name for path in (folder / "events").glob("*.json"))
    # Not what lies in the folder is released, but what the commit has.
    (folder / "events" / committed[0]).unlink()
    done = release("0.2.0")
    assert done.exit_code == 0, done.output
    frozen = folder / "released" / "0.2.0" / "events"
    assert sorted(path.name for path in frozen.glob("*.json")) == committed
    assert releases.read_baseline(folder).commit == git("rev-parse", "HEAD")
    git("checkout", "--quiet", f"schemas/events/{committed[0]}")
    checked = CliRunner().invoke(app, ["schemas", "check", str(folder)])
    assert checked.exit_code == 0, checked.output
    assert "release 0.2.0" in checked.output
    assert "is not newer" in str(release("0.2.0").exception)
    changed("feedback.given.v1", "rating")
    checked = CliRunner().invoke(app, ["schemas", "check", str(folder)])
    assert (checked.exit_code, "rating" in checked.output) == (1, True)


def test_a_service_comes_from_here_from_a_checkout_or_from_a_command(tmp_path: Path) -> None:
    service = services.BY_NAME["data-quality"]
    name = variable("data-quality")
    assert name == "HEADRACE_STACK_SERVICE_DATA_QUALITY"
    here = (sys.executable, "-m", "headrace_data_quality")
    assert start_of(service, {}).command == here
    with pytest.raises(StackError, match="root of a checkout"):
        start_of(service, {name: str(tmp_path)})
    with pytest.raises(StackError, match="neither a folder nor a program"):
        start_of(service, {name: "/no/such/thing --flag"})
    assert start_of(service, {name: "python -m mine --x 'a b'"}).command[-1] == "a b"
    (tmp_path / "services/data-quality/headrace_data_quality").mkdir(parents=True)
    (tmp_path / "libs/kit").mkdir(parents=True)
    start = start_of(service, {name: str(tmp_path), "PYTHONPATH": "/mine"})
    assert start.command == here
    first, second, third = start.environment["PYTHONPATH"].split(":")
    assert (first, second) == (f"{tmp_path}/services/data-quality", f"{tmp_path}/libs/kit")
    assert third == "/mine"
    own = tmp_path / ".venv/bin/python"
    own.parent.mkdir(parents=True)
    own.touch()
    assert start_of(service, {name: str(tmp_path)}).command[0] == str(own)
