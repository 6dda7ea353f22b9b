"""The model itself, in a Ray Serve replica: base and adapters in one process, one batch at a time.

This module runs in Ray's worker; the service process never imports torch.
"""

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from headrace_serving.core.generation import Adapter, AdapterRefused, Piece, Prompt

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from headrace_models.loading import Dtype

_SENTINEL = None


class Replica:
    """Loads a base, then adapters as they are asked for, and answers batches."""

    def __init__(self, base: str, threads: int, max_adapters: int, dtype: "Dtype" = "auto") -> None:
        from headrace_models.loading import load_base, load_tokenizer, set_threads

        set_threads(threads)
        self._threads = threads
        self._max_adapters = max_adapters
        self._tokenizer = load_tokenizer(base)
        self._model: PreTrainedModel | PeftModel = load_base(base, dtype)
        self._adapters: OrderedDict[str, str] = OrderedDict()  # digest -> peft's name for it
        self._names = 0
        # One thread: a second batch would only take the cores from the first.
        self._thread = ThreadPoolExecutor(
            1, "generate", initializer=set_threads, initargs=(threads,)
        )

    async def ping(self) -> dict[str, object]:
        """Say that the model is loaded, and with which adapters."""
        return {"pid": os.getpid(), "adapters": list(self._adapters), "threads": self._threads}

    async def load(self, adapter: Adapter) -> None:
        """Have an adapter ready; raise AdapterRefused when it cannot be."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._load, adapter)

    async def generate(
        self, adapter: Adapter | None, batch: Sequence[Prompt]
    ) -> AsyncIterator[list[Piece]]:
        """Answer a batch; what came out since the last look travels together."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        stop = threading.Event()

        def work() -> None:
            try:
                for piece in self._answer(adapter, batch, stop.is_set):
                    loop.call_soon_threadsafe(pieces.put_nowait, piece)
            finally:
                loop.call_soon_threadsafe(pieces.put_nowait, _SENTINEL)

        working = loop.run_in_executor(self._thread, work)
        try:
            done = False
            while not done:
                together = [await pieces.get()]
                while not pieces.empty():
                    together.append(pieces.get_nowait())
                done = together[-1] is _SENTINEL
                found = [piece for piece in together if piece is not None]
                if found:
                    yield found
            await working
        finally:
            stop.set()  # the caller is gone: do not compute for nobody

    def _load(self, adapter: Adapter) -> None:
        from headrace_models.artefact import fetch
        from headrace_models.errors import ModelError
        from headrace_models.loading import load_adapter

        if adapter.digest in self._adapters:
            self._adapters.move_to_end(adapter.digest)
            return
        self._names += 1
        name = f"a{self._names}"
        try:
            folder = fetch(adapter.uri, adapter.digest)
            self._model = load_adapter(self._model, folder, name)
        except (ModelError, OSError, ValueError, KeyError, RuntimeError) as error:
            raise AdapterRefused(
                f"adapter version {adapter.version} is refused ({type(error).__name__}): {error}"
            ) from None
        self._adapters[adapter.digest] = name
        while len(self._adapters) > self._max_adapters:
            _, oldest = self._adapters.popitem(last=False)
            self._model.delete_adapter(oldest)

    def _answer(
        self, adapter: Adapter | None, batch: Sequence[Prompt], cancelled: Callable[[], bool]
    ) -> Iterator[Piece]:
        from headrace_models.errors import ConversationRefused
        from headrace_models.generation import GenerationRequest, stream
        from headrace_models.sampling import Sampling

        rows: list[int] = []
        requests: list[GenerationRequest] = []
        for row, prompt in enumerate(batch):
            try:
                ids = self._prompt_ids(prompt)
            except ConversationRefused as error:
                yield Piece(row, "", refused=str(error))
                continue
            room = self._context() - len(ids)
            if room < 1:
                refused = f"the prompt has {len(ids)} tokens, the context is {self._context()}"
                yield Piece(row, "", refused=refused)
                continue
            rows.append(row)
            requests.append(
                GenerationRequest(
                    ids,
                    min(prompt.max_tokens, room),
                    Sampling(prompt.temperature, prompt.top_p, prompt.seed),
                    prompt.stop,
                )
            )
        texts = dict.fromkeys(rows, "")
        with self._active(adapter) as model:
            for delta in stream(model, self._tokenizer, requests):
                if cancelled():
                    return
                row = rows[delta.row]
                texts[row] += delta.text
                if delta.finish_reason is None and not batch[row].stream:
                    continue
                yield Piece(
                    row,
                    texts.pop(row),
                    len(requests[delta.row].prompt_ids),
                    delta.tokens,
                    delta.finish_reason,
                )
                texts[row] = ""

    @contextmanager
    def _active(self, adapter: Adapter | None) -> Iterator["PreTrainedModel"]:
        """The model as one version: the base itself, or with one adapter."""
        if adapter is not None:
            self._load(adapter)
            model = cast("PeftModel", self._model)
            model.set_adapter(self._adapters[adapter.digest], inference_mode=True)
            yield cast("PreTrainedModel", model)
        elif self._adapters:
            with cast("PeftModel", self._model).disable_adapter():
                yield cast("PreTrainedModel", self._model)
        else:
            yield cast("PreTrainedModel", self._model)

    def _prompt_ids(self, prompt: Prompt) -> list[int]:
        from headrace_models.chat import render_ids

        messages = [{"role": role, "content": content} for role, content in prompt.messages]
        return render_ids(messages, self._tokenizer)

    def _context(self) -> int:
        return int(getattr(self._model.config, "max_position_embeddings", 0) or 2048)
