"""Which Kafka a command speaks to."""

import os

from headrace_stack.errors import StackError
from headrace_stack.paths import default_home
from headrace_stack.state import live_state

KAFKA_VARIABLE = "HEADRACE_KAFKA__BOOTSTRAP_SERVERS"


def bootstrap_servers() -> str:
    """Kafka of the stack in the current folder, or the one that the environment names."""
    state = live_state(default_home())
    found = (state.kafka if state else "") or os.environ.get(KAFKA_VARIABLE, "")
    if not found:
        raise StackError(
            f"No stack runs in {default_home()}. Start it with `headrace up`, go to its folder, "
            f"or name another Kafka in {KAFKA_VARIABLE}."
        )
    return found
