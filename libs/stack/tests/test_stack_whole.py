"""A real stack of Kafka and guardrails: up, kills, crash, down, and data that stay."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import Request, urlopen

import psutil
import pytest

from headrace_stack.paths import stack_id
from headrace_stack.processes import marked_processes
from headrace_stack.stack import Stack
from headrace_stack.testing import RunningStack

pytestmark = pytest.mark.integration
T = TypeVar("T")
PARTS = ("--only", "kafka,guardrails")
MANIFEST = """\
apiVersion: headrace/v1
kind: Workload
metadata: {name: kept, owner: test}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("small") / ".headrace")
    try:
        yield running
    finally:
        running.headrace("down")


@pytest.fixture
def up(small: RunningStack) -> RunningStack:
    done = small.headrace("up", "--detach", *PARTS)
    assert done.returncode == 0, done.stdout + done.stderr
    return small


def test_up_again_says_so_and_shows_the_table(up: RunningStack) -> None:
    again = up.headrace("up", "--detach", *PARTS)
    assert again.returncode == 0
    assert "already up" in again.stdout
    assert up.base_url in again.stdout
    assert "guardrails" in again.stdout


def test_status_tells_all(up: RunningStack) -> None:
    status = up.status()
    (service,) = status["services"]
    assert service["name"] == "guardrails"
    assert service["state"] == "ready"
    assert service["version"]
    assert service["rss_bytes"] > 10_000_000
    assert {engine["name"] for engine in status["engines"]} == {"kafka", "gateway"}
    assert status["kafka"].startswith("127.0.0.1:")
    parts = sum(part["rss_bytes"] for part in status["services"] + status["engines"])
    assert parts < status["total_rss_bytes"] < 2 * parts
    table = up.headrace("status")
    assert "guardrails" in table.stdout
    assert "resident in all" in table.stdout


def test_killed_service_comes_back_and_status_says_so(up: RunningStack) -> None:
    before = _service(up)
    os.kill(before["pid"], signal.SIGKILL)
    after = _until(lambda: _service(up), lambda s: s["restarts"] == before["restarts"] + 1)
    after = _until(lambda: _service(up), lambda s: s["state"] == "ready")
    assert after["pid"] != before["pid"]
    assert "killed by signal 9" in after["problem"]
    assert "guardrails was started again" in up.headrace("status").stdout


def test_killed_gateway_comes_back_and_the_base_url_with_it(up: RunningStack) -> None:
    before = _gateway(up)
    assert before["state"] == "ready"
    assert _status_of(f"{up.base_url}/policies") == 200
    os.kill(before["pid"], signal.SIGKILL)
    after = _until(lambda: _gateway(up), lambda g: g["state"] == "ready" and g["restarts"] == 1)
    assert after["pid"] != before["pid"]
    assert after["url"] == before["url"] == up.base_url
    assert _status_of(f"{up.base_url}/policies") == 200
    assert _status_of(f"{up.base_url}/models") == 503  # not part of this stack
    for _ in range(5):  # the second one stopped the gateway, and supervision with it
        assert _status_of(f"{up.base_url}/policies", method="HEAD") == 200


def test_a_redirect_names_no_inner_port(up: RunningStack) -> None:
    base = urlsplit(up.base_url)
    with contextlib.closing(HTTPConnection(base.netloc, timeout=10)) as connection:
        connection.request("GET", "/policies/")
        answer = connection.getresponse()
        assert answer.status == 307
        assert urljoin(f"{up.base_url}/policies/", answer.headers["location"]) == (
            f"{up.base_url}/policies"
        )


def test_status_notices_a_supervisor_that_stands_still(up: RunningStack) -> None:
    pid = up.status()["supervisor_pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        _until(lambda: up.headrace("status", "--json").returncode, lambda code: code == 4)
    finally:
        os.kill(pid, signal.SIGCONT)
    _until(lambda: up.headrace("status", "--json").returncode, lambda code: code == 0)
    assert _service(up)["state"] == "ready"


def test_a_port_that_is_taken_is_said_clearly(tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        done = RunningStack(tmp_path / "home").headrace("up", "--detach", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} for the base URL is in use" in done.stderr


def test_manifest_is_applied_and_seen_without_its_content(up: RunningStack, tmp_path: Path) -> None:
    file = tmp_path / "workload.yaml"
    file.write_text(MANIFEST)
    applied = up.headrace("apply", "-f", str(file))
    assert applied.returncode == 0, applied.stderr
    assert "Applied workload kept" in applied.stdout
    tail = ("events", "tail", "--no-follow", "--workload", "kept", "--json")
    (seen,) = map(json.loads, up.headrace(*tail).stdout.splitlines())
    assert seen["type"] == "workload.applied.v1"
    assert "data" not in seen
    (with_data,) = map(json.loads, up.headrace(*tail, "--data").stdout.splitlines())
    assert with_data["data"]["manifest"]["metadata"]["owner"] == "test"
    assert not up.headrace(*tail, "--type", "model").stdout


def test_bad_manifest_publishes_nothing(up: RunningStack, tmp_path: Path) -> None:
    file = tmp_path / "workload.yaml"
    file.write_text(MANIFEST.replace("kept", "Not A Name"))
    refused = up.headrace("apply", "-f", str(file))
    assert refused.returncode == 2
    assert "metadata.name" in refused.stderr
    assert not up.headrace("events", "tail", "--no-follow", "--workload", "Not A Name").stdout


def test_crashed_supervisor_leaves_nothing_after_down_and_data_stay(up: RunningStack) -> None:
    pid = up.status()["supervisor_pid"]
    os.kill(pid, signal.SIGKILL)
    _until(lambda: psutil.pid_exists(pid), lambda exists: not exists)
    if sys.platform == "linux":  # the kernel ends them; elsewhere `down` has to
        _until(lambda: marked_processes(stack_id(up.home)), lambda left: not left, seconds=30)
    crashed = up.headrace("status", "--json")
    assert crashed.returncode == 3
    assert json.loads(crashed.stdout)["state"] == "crashed"
    assert up.headrace("down").returncode == 0
    assert not marked_processes(stack_id(up.home))
    again = up.headrace("up", "--detach", *PARTS)
    assert again.returncode == 0, again.stderr
    events = up.headrace("events", "tail", "--no-follow", "--workload", "kept")
    assert "workload.applied.v1" in events.stdout


def test_second_stack_runs_beside_the_first(up: RunningStack, tmp_path: Path) -> None:
    with Stack(tmp_path / "second", only=("guardrails",)) as second:
        other = second.state()
        assert other is not None
        first = up.status()
        assert other.kafka != first["kafka"]
        assert other.base_url != first["base_url"]
        assert _service(up)["state"] == "ready"
    assert not marked_processes(stack_id(tmp_path / "second"))
    assert _service(up)["state"] == "ready"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_foreground_stops_everything_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    home = tmp_path / "home"
    foreground = subprocess.Popen(
        [sys.executable, "-P", "-m", "headrace_stack", "up", "--only", "kafka"],
        env={**os.environ, "HEADRACE_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    state = _until(lambda: Stack(home).state(), lambda s: s is not None and s.phase == "up")
    assert state is not None
    assert marked_processes(stack_id(home))
    foreground.send_signal(number)
    output, _ = foreground.communicate(timeout=60)
    assert "Stopped. Its data are kept." in output
    assert foreground.returncode == 0
    assert not marked_processes(stack_id(home))


def test_down_leaves_nothing(up: RunningStack) -> None:
    done = up.headrace("down")
    assert done.returncode == 0
    assert "Stopped" in done.stdout
    assert not marked_processes(stack_id(up.home))


def _service(running: RunningStack) -> dict[str, Any]:
    found: dict[str, Any] = running.status()["services"][0]
    return found


def _gateway(running: RunningStack) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [e for e in running.status()["engines"] if e["name"] == "gateway"]
    return found


def _status_of(url: str, method: str = "GET") -> int:
    try:
        with urlopen(Request(url, method=method), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def _until(look: Callable[[], T], holds: Callable[[T], bool], seconds: float = 60.0) -> T:
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if holds(seen):
            return seen
        assert time.monotonic() < deadline, f"still {seen}"
        time.sleep(0.2)
