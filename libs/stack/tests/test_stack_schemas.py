"""`headrace schemas` and a service from another checkout, as their users meet them."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace_events.compat import Contracts, present
from headrace_stack import services
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


def test_a_frozen_release_cannot_be_edited(folder: Path) -> None:
    (frozen,) = (folder / "released").glob("*/events/feedback.given.v1.json")
    frozen.write_text(frozen.read_text().replace('"rating"', '"stars"'))
    done = CliRunner().invoke(app, ["schemas", "check", str(folder)])
    assert isinstance(done.exception, StackError)
    assert "a release never changes" in str(done.exception)


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
