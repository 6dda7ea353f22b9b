"""One realistic example of every event type: what `schemas/events/examples` is written from.

They tell one story: the workload `support-intents`, whose version 2 replaces version 1.
"""

from headrace_events.envelope import EventData
from headrace_events.examples import learning, traffic


def all_examples() -> dict[str, EventData]:
    """Return an example of each event type, by type."""
    return {example.TYPE: example for example in (*learning.examples(), *traffic.examples())}
