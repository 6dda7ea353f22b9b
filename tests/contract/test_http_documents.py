"""What each service answers over HTTP is what its OpenAPI document says, whatever is sent.

`schemathesis run` against the real services as processes (serving with its echo engine), 25
requests an operation or more, fitting and not: no server error, no undocumented status or content
type, and bodies as documented. It prints what it finds with the curl line that shows it again.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_bench.faults.stack import SERVICES, FaultStack, fault_stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

EXAMPLES = 25
CHECKS = ",".join(
    (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
)
SHOWN = 6000  # characters of its report


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultStack]:
    folder: Path = tmp_path_factory.mktemp("http-documents")
    with fault_stack(folder) as running:
        yield running


@pytest.mark.parametrize("service", SERVICES)
def test_answers_are_as_documented(stack: FaultStack, service: str, tmp_path: Path) -> None:
    url = stack.state.part(service).url
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json",
        "--checks", CHECKS,
        "--max-examples", str(EXAMPLES),
        "--phases", "examples,coverage,fuzzing",
        "--generation-deterministic",
        "--request-timeout", "30",
        "--warnings", "off",
        "--no-color",
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-SHOWN:] + ran.stderr[-SHOWN:]
    assert " generated, " in ran.stdout, "nothing was tried"
    assert stack.state.part(service).restarts == 0
