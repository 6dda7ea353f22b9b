"""Runs the reader of the interpreter's documentation in a process of its own."""

import asyncio
import json
import sys

from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

_MODULE = "headrace_ingest.adapters.python_docs"
_TIMEOUT_SECONDS = 120.0


async def read_python_docs() -> list[Row]:
    """Return the rows; raise UnreadableSource if the interpreter has none."""
    # -I: neither the environment nor the current folder decides what is imported.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", _MODULE,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PYTHONHASHSEED": "0", "TERM": "dumb"},
    )  # fmt: skip
    try:
        output, errors = await asyncio.wait_for(process.communicate(), _TIMEOUT_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise UnreadableSource(
            f"the documentation reader ended with code {process.returncode}: {last[:200]}"
        )
    rows = [Row(*json.loads(line)) for line in output.decode().splitlines()]
    if not rows:
        raise UnreadableSource("this interpreter carries no documentation (was it run with -OO?)")
    return rows
