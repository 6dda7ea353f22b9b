"""What core asks of an engine, in plain values that also travel to the replica."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

FinishReason = Literal["stop", "length"]


class EngineError(Exception):
    """The engine did not answer; the message is safe to show (it holds no user's text)."""


class EngineUnavailable(EngineError):
    """The engine is away (starting, restarting): the same request may succeed later."""


class GenerationFailed(EngineUnavailable):
    """The engine is there, and failed while this version answered; another try may succeed."""


class RequestRefused(EngineError):
    """This request can never be answered, e.g. it is longer than the model's context."""


class AdapterRefused(EngineError):
    """An adapter cannot be loaded or is not the one that was promised."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """What to put on the base: where it lies and what it must hash to."""

    version: str
    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request as the engine sees it."""

    messages: tuple[tuple[str, str], ...] = field(repr=False)
    """(role, content) pairs."""
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """New text of one row of a batch; the row's last piece says how it ended.

    Rows that are not streamed have one piece, the last. `refused` is why a row got no answer.
    """

    row: int
    text: str = field(repr=False)
    input_tokens: int = 0
    output_tokens: int = 0
    finish_reason: FinishReason | None = None
    refused: str | None = None


class Engine(Protocol):
    """Answers batches for one base model and its adapters."""

    async def load(self, base: str, adapter: Adapter) -> None:
        """Have an adapter ready; raise AdapterRefused when it cannot be."""
        ...

    def generate(
        self, base: str, adapter: Adapter | None, batch: Sequence[Prompt]
    ) -> AsyncIterator[Sequence[Piece]]:
        """Answer a batch of one version; pieces come as they are made."""
        ...


class ManagedEngine(Engine, Protocol):
    """An engine with a life of its own, as the app starts, watches and ends it."""

    ready: bool

    async def start(self, base: str) -> None:
        """Return when `base` answers."""
        ...

    async def check(self, base: str) -> None:
        """Notice that the engine is lost."""
        ...

    async def stop(self) -> None:
        """Let go of it."""
        ...
