"""A request -> what the engine gets. The one place where a workload's system message is added."""

from collections.abc import Sequence

from headrace_events.inference import Message
from headrace_events.references import ModelRef
from headrace_events.workload import Manifest
from headrace_serving.core.generation import Adapter, Prompt


def prompt_for(
    manifest: Manifest,
    messages: Sequence[Message],
    *,
    max_tokens: int | None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int | None = None,
    stop: tuple[str, ...] = (),
    stream: bool = False,
) -> Prompt:
    """Put `spec.system` in front and hold `max_tokens` to what the workload allows."""
    turns = [(message.role, message.content) for message in messages]
    if manifest.spec.system:
        turns.insert(0, ("system", manifest.spec.system))
    most = manifest.spec.serve.max_tokens
    return Prompt(
        messages=tuple(turns),
        max_tokens=min(max_tokens or most, most),
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        stop=stop,
        stream=stream,
    )


def adapter_of(model: ModelRef) -> Adapter | None:
    """What to load for a version; None for the base itself."""
    if model.artefact is None:
        return None
    return Adapter(model.version, model.artefact.uri, model.artefact.digest)
