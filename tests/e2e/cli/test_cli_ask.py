"""`headrace ask` and `headrace chat` on the running stack."""

import os
import subprocess
import sys
import time
from typing import Any

import pytest

from headrace_stack.commands.api import Api

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
QUESTION = "Where is parcel 7?"


def counted(story: Any) -> dict[str, int]:
    """Requests that the monitor counted in the last hour, by version and arm."""
    found = Api(story.stack.base_url).get(
        "metrics-api", "windows", workload=story.workload, seconds=3600
    )
    return {f"{one['version']} {one['arm']}": one["requests"] for one in found["windows"]}


def test_a_workload_is_asked(story: Any) -> None:
    reply = story.json("ask", story.workload, QUESTION)
    assert reply["model"] == f"{story.workload}@1"
    assert reply["arm"] in ("production", "canary")  # until serving has heard of the promotion
    assert reply["text"]
    assert reply["latency_ms"] > 0
    assert len(reply["trace_id"]) == 32
    assert reply["trace_id"] in reply["trace_url"]
    table = story.headrace("ask", story.workload, QUESTION, "--show-trace")
    assert table.startswith(f"{story.workload}@1 (production), ")
    assert "\ntrace " in table


def test_versions_are_compared_and_counted_nowhere(story: Any) -> None:
    time.sleep(3)  # what was asked before is counted
    before = counted(story)
    one = story.json("ask", story.workload, QUESTION, "--version", "1")
    assert (one["version"], one["arm"]) == ("1", "pinned")
    both = story.json("ask", story.workload, QUESTION, "--compare", "1,base")
    assert [reply["model"] for reply in both] == [f"{story.workload}@1", f"{story.workload}@base"]
    assert both[0]["text"] == one["text"]  # greedy
    plain = story.headrace("ask", story.workload, QUESTION, "--compare", "1,base")
    assert f"{story.workload}@1 (pinned)" in plain
    assert f"{story.workload}@base (pinned)" in plain
    # One that counts, after those that do not: when it is there, they would be.
    story.headrace("ask", story.workload, QUESTION)
    until = time.monotonic() + 30
    while (now := counted(story)) == before:
        assert time.monotonic() < until, "the request that counts is not counted"
        time.sleep(0.5)
    grown = {series: n - before.get(series, 0) for series, n in now.items()}
    assert {series: n for series, n in grown.items() if n} == {"1 production": 1}


def test_what_cannot_be_asked_is_told_with_what_can(story: Any) -> None:
    said = story.headrace("ask", story.workload, QUESTION, "--version", "17", code=2)
    assert "there is no version 17" in said
    assert f"{story.workload}@1" in said
    said = story.headrace("ask", "cli-storry", QUESTION, code=2)
    assert "No workload is called `cli-storry`. Nearest: `cli-story`" in said


def test_a_conversation_from_a_pipe(story: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "headrace_stack", "chat", story.workload, "--version", "base"],
        input=f"{QUESTION}\nAnd parcel 8?\n",
        env={**os.environ, "HEADRACE_HOME": str(story.stack.home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
