"""The command line as a user meets it: help with examples, and errors without a traceback."""

import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace_stack.cli import app
from headrace_stack.paths import stack_id
from headrace_stack.ports import HOST
from headrace_stack.processes import marked_processes
from headrace_stack.testing import headrace

COMMANDS = [
    ["up"],
    ["down"],
    ["status"],
    ["logs"],
    ["apply"],
    ["events", "tail"],
    ["schemas", "export"],
    ["schemas", "check"],
    ["schemas", "diff"],
    ["schemas", "release"],
    ["demo"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0
    assert f"headrace {' '.join(command)}" in done.stdout.split("Example", 1)[1]


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (["logs", "kafak"], "There is no log of `kafak`", 1),
        (["logs"], "nothing ran there", 1),
        (["events", "tail"], "headrace up", 1),
        (["apply", "-f", "none.yaml"], "Cannot read none.yaml", 2),
        (["up", "--only", "kafka,gardrails"], "No part of the stack is called gardrails", 1),
        (["demo", "--data", "none.csv"], "There is no file none.csv", 1),
    ],
)
def test_errors_are_one_clear_message(
    tmp_path: Path, arguments: list[str], says: str, code: int
) -> None:
    done = headrace(tmp_path / "home", *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("rows.csv", b"question,answer\na,b\n", "missing columns `text`"),
        ("rows.parquet", b"PAR1 but no more", "not Parquet"),
        ("rows.docx", b"x", "`.docx` are not read"),
    ],
)
def test_the_demo_refuses_a_file_before_anything_starts(
    tmp_path: Path, file: str, content: bytes, says: str
) -> None:
    data = tmp_path / file
    data.write_bytes(content)
    home = tmp_path / "home"
    done = headrace(home, "demo", "--data", str(data), "--prompt", "text")
    assert done.returncode == 1
    assert says in " ".join(done.stderr.split())
    assert not home.exists()


def test_status_and_down_where_nothing_runs(tmp_path: Path) -> None:
    status = headrace(tmp_path / "home", "status", "--json")
    assert status.returncode == 3
    assert '"state": "down"' in status.stdout
    down = headrace(tmp_path / "home", "down")
    assert down.returncode == 0
    assert "No stack runs" in down.stdout


def test_port_in_use_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        done = headrace(home, "up", "--detach", "--only", "kafka", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} for the base URL is in use" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "kafka").exists()
    assert not marked_processes(stack_id(home))


def test_kafka_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        done = headrace(tmp_path, "up", "--detach", "--only", "kafka", "--kafka-port", str(port))
    assert done.returncode == 1
    assert f"Port {port} for Kafka is in use" in done.stderr


def test_no_java_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    done = headrace(tmp_path / "home", "up", "--detach", "--only", "kafka")
    assert done.returncode == 1
    assert "there is no `java` on the PATH" in done.stderr
    assert "sudo apt-get install -y openjdk-17-jre-headless" in done.stderr
    assert not marked_processes(stack_id(tmp_path / "home"))


def test_schemas_export_writes_the_contracts(tmp_path: Path) -> None:
    done = headrace(tmp_path, "schemas", "export", str(tmp_path / "schemas"))
    assert done.returncode == 0
    assert (tmp_path / "schemas" / "events" / "workload.applied.v1.json").exists()
    again = headrace(tmp_path, "schemas", "export", str(tmp_path / "schemas"))
    assert "is up to date" in again.stdout
