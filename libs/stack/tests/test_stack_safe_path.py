"""A file of the user's in the folder where he types `headrace up` is run by nobody."""

import subprocess
import sys
from pathlib import Path

import pytest

from headrace_stack import ray_head
from headrace_stack.plan import Options, make_plan
from headrace_stack.processes import child_environment
from headrace_stack.services import SERVICES
from headrace_stack.stack import Stack
from headrace_stack.testing import headrace

NAMES = ("click", "json", "typing_extensions", "yaml", "numpy", "ray", "fastapi", "sqlite3")
WHERE = "import sys; print('\\n'.join(sys.path))"
TASK = """\
import ray
from headrace_kit.ray_driver import job_config
ray.init(address="{address}", log_to_driver=False, job_config=job_config())
print(ray.get(ray.remote(lambda: __import__("json").dumps(6 * 7)).remote()))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: full of modules that leave a mark when they are imported."""
    for name in NAMES:
        mark = tmp_path / f"{name}.was-run"
        (tmp_path / f"{name}.py").write_text(
            f"open({str(mark)!r}, 'w').close()\nraise SystemExit(9)\n"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _marks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.was-run"))


def test_no_part_has_the_current_folder_on_its_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An empty entry means the current folder: `export PYTHONPATH=$PYTHONPATH:/x` makes one.
    monkeypatch.setenv("PYTHONPATH", ":/somewhere:")
    plan = make_plan(Options(folder / "home"), "127.0.0.1:1", set())
    environments = {part.name: part.environment for part in plan.parts}
    assert set(environments) >= {"mlflow", "ray", *(service.name for service in SERVICES)}
    environments["supervisor"] = child_environment("test")
    for name, environment in environments.items():
        done = subprocess.run(
            [sys.executable, "-c", WHERE],
            env=dict(environment), capture_output=True, text=True, check=True,
        )  # fmt: skip
        path = done.stdout.split("\n")[:-1]
        assert not {"", ".", str(folder)} & set(path), name
        assert "/somewhere" in path, name
    assert _marks(folder) == []


def test_the_command_line_runs_nothing_of_the_current_folder(folder: Path) -> None:
    (folder / "rows.csv").write_text("question,answer\na,b\n")
    command = [str(Path(sys.executable).parent / "headrace"), "demo", "--data", "rows.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "cannot be used" in done.stdout + done.stderr, (done.stdout, done.stderr)
    assert _marks(folder) == []


@pytest.mark.integration
def test_a_stack_runs_nothing_of_the_current_folder(folder: Path) -> None:
    home = folder / ".headrace"
    with Stack(home, only=("guardrails", "ray")) as stack:
        state = stack.state()
        assert state is not None
        environment = {**child_environment(state.stack_id), **ray_head.environment(home)}
        done = subprocess.run(
            [sys.executable, "-c", TASK.format(address=state.ray)],
            env=environment, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        assert done.stdout.strip().endswith("42"), done.stderr[-2000:]
        assert headrace(home, "status").returncode == 0
    assert _marks(folder) == []
