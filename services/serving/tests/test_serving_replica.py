"""The replica's own work, in this process: what one row asks for is not the others' end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headrace_models.artefact import digest
from headrace_serving.adapters.replica import Replica
from headrace_serving.core.generation import Adapter, Piece, Prompt

pytestmark = pytest.mark.timeout(300)

# As Gemma's and Mistral's templates do it.
STRICT = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}{{ m['content'] }} {% endfor %}"
)


def strict_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "hello": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", eos_token="</s>", chat_template=STRICT
    )


async def answered(replica: Replica, *prompts: Prompt) -> dict[int, Piece]:
    last: dict[int, Piece] = {}
    async for pieces in replica.generate(None, prompts):
        last |= {piece.row: piece for piece in pieces}
    return last


async def test_turns_that_the_template_refuses_end_their_own_row_alone() -> None:
    replica = await asyncio.to_thread(Replica, "smollm2-135m-instruct", 1, 1)
    replica._tokenizer = strict_tokenizer()
    good = Prompt((("user", "hello"),), 2)
    odd = Prompt((("system", "secret words"), ("user", "hello")), 2)
    last = await answered(replica, good, odd, good)
    assert last[0].finish_reason and last[2].finish_reason
    assert last[1].refused and "secret" not in last[1].refused
    assert "system" in last[1].refused


async def test_a_temperature_next_to_nothing_ends_no_batch() -> None:
    replica = await asyncio.to_thread(Replica, "smollm2-135m-instruct", 1, 1)
    turns = (("user", "hello"),)
    last = await answered(replica, Prompt(turns, 2), Prompt(turns, 2, temperature=1e-320))
    assert last[0].finish_reason and last[1].finish_reason


def an_adapter(folder: Path, seed: int) -> Adapter:
    import torch
    from peft import LoraConfig, get_peft_model

    from headrace_models.loading import load_base

    torch.manual_seed(seed)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(load_base("smollm2-135m-instruct"), config).save_pretrained(str(folder))
    return Adapter(version=str(seed), uri=folder.as_uri(), digest=digest(folder))


async def test_a_version_that_comes_back_is_loaded_again(tmp_path: Path) -> None:
    """A roll-back asks for an adapter that a newer one took the place of."""
    replica = await asyncio.to_thread(Replica, "smollm2-135m-instruct", 1, 1)
    old, new = [await asyncio.to_thread(an_adapter, tmp_path / str(n), n) for n in (1, 2)]

    async def said(adapter: Adapter) -> str:
        found = ""
        async for pieces in replica.generate(adapter, [Prompt((("user", "Say hello."),), 8)]):
            found = pieces[-1].text
        loaded: Any = (await replica.ping())["adapters"]
        assert loaded == [adapter.digest]
        return found

    first = await said(old)
    assert await said(new) != first
    assert await said(old) == first
