"""One realistic example of every event type: what `schemas/events/examples` is written from.

They tell one story: the workload `support-intents`, whose version 2 replaces version 1.
"""

from pydantic import ValidationError

from headrace_events.envelope import EventData
from headrace_events.examples import learning, traffic


class UnfitExample(ValueError):
    """An example does not fit its model any more; the message names both and the field."""

    def __init__(self, error: ValidationError) -> None:
        found = error.errors(include_input=False, include_url=False)
        fields = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found)
        super().__init__(
            f"The example of {error.title} in headrace_events/examples does not fit: {fields}"
        )


def all_examples() -> dict[str, EventData]:
    """Return an example of each event type, by type; raise `UnfitExample` if one does not fit."""
    try:
        examples = (*learning.examples(), *traffic.examples())
    except ValidationError as error:
        raise UnfitExample(error) from error
    return {example.TYPE: example for example in examples}
