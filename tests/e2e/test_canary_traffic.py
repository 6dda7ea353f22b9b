"""A product service's twenty lines: 200 requests over Kafka while a canary runs, 200 answers."""

import json
import subprocess
import sys
import time
from collections import Counter
from urllib.request import urlopen

import pytest

from headrace_stack.testing import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

WORKLOAD = "canary-e2e"
# The canary needs more requests than are sent, so that it is open for all of them.
MANIFEST = f"""\
apiVersion: headrace/v1
kind: Workload
metadata: {{name: {WORKLOAD}, owner: tests}}
spec:
  data: {{sources: [{{type: python_docs, limit: 150}}], min_rows: 20}}
  train: {{max_steps: 4, batch_size: 4}}
  evaluate: {{max_rows: 8, max_tokens: 12, gates: [{{metric: rouge_l, margin: -1.0}}]}}
  serve: {{max_tokens: 8, canary: {{steps: [50], min_requests: 10000}}}}
"""
SCRIPT = f"""\
import asyncio, json
from headrace_client import HeadraceClient

async def main():
    async with HeadraceClient() as client:
        limit = asyncio.Semaphore(16)
        async def ask(n):
            async with limit:
                return await client.chat("{WORKLOAD}", f"What does the function number {{n}} do?",
                                         key=f"user-{{n}}", timeout=120)
        answers = await asyncio.gather(*(ask(n) for n in range(200)))
    for a in answers:
        print(json.dumps([a.request_id, a.model_version, a.arm, a.trace_id, bool(a.text)]))

asyncio.run(main())
"""


def rollouts(stack: RunningStack) -> str:
    with urlopen(f"{stack.base_url}/rollouts", timeout=30) as response:
        return json.dumps(json.load(response))


def test_two_hundred_requests_while_the_canary_runs(stack: RunningStack, tmp_path) -> None:
    file = tmp_path / "workload.yaml"
    file.write_text(MANIFEST)
    applied = stack.headrace("apply", "-f", str(file))
    assert applied.returncode == 0, applied.stdout + applied.stderr
    deadline = time.monotonic() + 400
    while True:
        events = stack.headrace(
            "events", "tail", "--from-beginning", "--no-follow", "--json", "--workload", WORKLOAD
        ).stdout
        if "rollout.started.v1" in events:
            break
        assert time.monotonic() < deadline, events[-3000:]
        time.sleep(3)
    assert WORKLOAD in rollouts(stack)
    script = tmp_path / "product.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"HEADRACE_KAFKA__BOOTSTRAP_SERVERS": stack.status()["kafka"]},
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({request_id for request_id, *_ in answers}) == 200
    assert all(version and trace_id for _, version, _, trace_id, _ in answers)
    arms = Counter(arm for _, _, arm, _, _ in answers)
    # Half of 200 keys: fewer than 70 or more than 130 has a chance of less than one in 10,000.
    assert 70 <= arms["canary"] <= 130, arms
    assert arms["canary"] + arms["base"] == 200
