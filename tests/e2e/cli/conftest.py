"""One stack with a story: a workload was applied, trained, and its version 1 promoted."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace_client import HeadraceClient, HeadraceError
from headrace_stack.testing import RunningStack

WORKLOAD = "cli-story"
TOPICS = {
    "delivery": "Where is parcel {}?",
    "refund": "I want my money back for order {}.",
    "login": "I cannot log in with account {}.",
    "invoice": "Please send me invoice {} again.",
}
MANIFEST = f"""\
apiVersion: headrace/v1
kind: Workload
metadata: {{name: {WORKLOAD}, owner: tests}}
spec:
  data: {{sources: [{{type: file, path: rows.csv}}], min_rows: 20}}
  train: {{max_steps: 8, batch_size: 4}}
  evaluate:
    metrics: [exact_match, rouge_l]
    max_rows: 8
    max_tokens: 4
    gates: [{{metric: rouge_l, margin: -1.0}}]
  serve:
    max_tokens: 4
    canary: {{steps: [50], min_requests: 20, max_error_rate_increase: 0.3, max_latency_ratio: 20}}
"""
_PROMOTED_SECONDS = 600
_ASKING = 6


@dataclass(frozen=True)
class Story:
    """The stack, and what stands in it."""

    stack: RunningStack
    workload: str
    folder: Path

    def headrace(self, *arguments: str, code: int = 0, timeout: float = 120) -> str:
        """Run a command; return what it printed. Its exit code must be `code`."""
        done = self.stack.headrace(*arguments, timeout=timeout)
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout if code == 0 else done.stdout + done.stderr

    def json(self, *arguments: str) -> Any:
        """Run a command with `-o json`; return what it says."""
        return json.loads(self.headrace(*arguments, "-o", "json"))


@pytest.fixture(scope="session")
def story(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Apply a workload of 160 rows, and ask it until its first version is promoted."""
    folder = tmp_path_factory.mktemp("story")
    rows = [f"{text.format(n)},{label}" for n in range(40) for label, text in TOPICS.items()]
    # A row without an answer and one that is there twice: something to reject.
    rows += ["An empty answer?,", rows[0]]
    (folder / "rows.csv").write_text("prompt,completion\n" + "\n".join(rows) + "\n")
    (folder / "workload.yaml").write_text(MANIFEST)
    told = Story(stack, WORKLOAD, folder)
    told.headrace("apply", "-f", str(folder / "workload.yaml"))
    asyncio.run(_ask_until_promoted(told))
    yield told


async def _ask_until_promoted(told: Story) -> None:
    until = time.monotonic() + _PROMOTED_SECONDS
    async with HeadraceClient(told.stack.status()["kafka"]) as client, asyncio.TaskGroup() as group:
        asking = [group.create_task(_ask(client, number)) for number in range(_ASKING)]
        while "model.promoted.v1" not in (told_events := await asyncio.to_thread(_events, told)):
            assert time.monotonic() < until, told_events[-3000:]
            await asyncio.sleep(3)
        for task in asking:
            task.cancel()


def _events(told: Story) -> str:
    return told.headrace(
        "events", "tail", "--from-beginning", "--no-follow", "--json", "--workload", WORKLOAD
    )


async def _ask(client: HeadraceClient, number: int) -> None:
    count = 0
    while True:
        count += 1
        try:
            await client.chat(WORKLOAD, f"Where is parcel {count}?", key=f"u{number}-{count}")
        except HeadraceError:
            await asyncio.sleep(1)
        await asyncio.sleep(0.2)
