"""What the stack writes for others names a folder of any letters as they read it."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from sqlalchemy.engine import make_url

from headrace_stack.commands_replay import database_url
from headrace_stack.elsewhere import start_of, variable
from headrace_stack.plan import Options, make_plan
from headrace_stack.ray_head import shell_word
from headrace_stack.services import BY_NAME

ODD = "űr tár %41?#2"


def test_each_service_is_told_where_its_database_lies(tmp_path: Path) -> None:
    home = tmp_path / ODD
    plan = make_plan(Options(home), "127.0.0.1:9092", set())
    urls = {
        part.name: make_url(part.environment["HEADRACE_DATABASE__URL"]).database
        for part in plan.parts
        if part.kind == "service"
    }
    assert urls == {name: str(home / "services" / name / "service.db") for name in BY_NAME}


def test_replay_goes_into_the_file_that_was_named(tmp_path: Path) -> None:
    url = database_url("ingest", str(tmp_path / ODD / "a.db"))
    assert make_url(url).database == str(tmp_path / ODD / "a.db")


def test_ray_reaches_a_python_whose_path_a_shell_would_cut(tmp_path: Path) -> None:
    environment = tmp_path / ODD
    environment.symlink_to(sys.prefix)
    python = environment / Path(sys.executable).relative_to(sys.prefix)
    (tmp_path / "ray").mkdir()
    tell = "import os, sys, pydantic; print(os.path.realpath(sys.prefix))"
    word = subprocess.run(
        [str(python), "-c", f"from pathlib import Path; import headrace_stack.ray_head as r, sys; "
         f"print(r.shell_word(sys.executable, Path({str(tmp_path / 'ray')!r})))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", f'exec {word} -c "{tell}"'], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == os.path.realpath(sys.prefix), done.stderr
    assert shell_word("/usr/bin/python3", tmp_path) == "/usr/bin/python3"


def test_a_service_of_another_checkout_gets_its_python_as_one_word(tmp_path: Path) -> None:
    checkout = tmp_path / ODD
    (checkout / "services" / "ingest" / "headrace_ingest").mkdir(parents=True)
    (checkout / "libs").mkdir()
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    start = start_of(BY_NAME["ingest"], {variable("ingest"): str(checkout)})

    job = json.loads(start.environment["RAY_JOB_CONFIG_JSON_ENV_VAR"])
    (word,) = shlex.split(job["runtime_env"]["py_executable"])
    assert word == start.command[0]
