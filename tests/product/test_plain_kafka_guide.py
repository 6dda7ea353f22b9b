"""The plain-Kafka guide, word for word: its commands with the real kcat against real services."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "plain-kafka.md"
WORKLOAD = "plain-kafka"


def commands() -> str:
    blocks = re.findall(r"^```bash\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    return "\n".join(blocks)


def test_a_product_service_of_kcat_alone_gets_its_answers(circuit: Any) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is missing: `bash scripts/setup.sh --tests` installs it")
    circuit.apply(WORKLOAD)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands()],
        env={**os.environ, "KAFKA": circuit.kafka, "WORKLOAD": WORKLOAD},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    outcomes = [line for line in lines if len(line) == 3]
    parts = [json.loads(line[1]) for line in lines if len(line) == 2]
    kinds = [re.search(r"ce_type=([\w.]+)", head) for _, head, _ in outcomes]
    assert [kind.group(1) for kind in kinds if kind] == [
        "inference.completed.v1",
        "inference.completed.v1",
        "inference.completed.v1",
        "inference.rejected.v1",
    ]
    asked, streamed, urgent, cancelled = (json.loads(value) for *_, value in outcomes)
    # The echo says the last message again.
    assert asked["text"] == "What does len() return?"
    assert urgent["text"] == "Is the shop open?"
    assert cancelled["reason"] == "cancelled"
    assert [part["index"] for part in parts] == list(range(len(parts)))
    assert streamed["text"].startswith("".join(part["text"] for part in parts))
    assert parts
