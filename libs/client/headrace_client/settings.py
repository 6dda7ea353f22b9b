"""Where Kafka is: given, in the environment, or in the state of the stack in this folder."""

import json
import os
from pathlib import Path

from headrace_client.errors import NotConfigured

VARIABLE = "HEADRACE_KAFKA__BOOTSTRAP_SERVERS"


def bootstrap_servers(given: str | None = None) -> str:
    """The bootstrap servers to use; raise NotConfigured when nothing names them."""
    found = given or os.environ.get(VARIABLE) or _of_stack(_home() / "state.json")
    if found:
        return found
    raise NotConfigured(
        "where is Kafka? Pass bootstrap_servers, set "
        f"{VARIABLE}, or run in the folder of a stack (`headrace up` makes {_home()})"
    )


def _home() -> Path:
    return Path(os.environ.get("HEADRACE_HOME") or ".headrace")


def _of_stack(state: Path) -> str | None:
    try:
        kafka = json.loads(state.read_text())["kafka"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if isinstance(kafka, dict):
        kafka = kafka.get("bootstrap_servers")
    return kafka if isinstance(kafka, str) else None
