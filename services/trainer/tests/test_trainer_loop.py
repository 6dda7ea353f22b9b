"""The loop on a very small model with random weights: learns, resumes, repeats, stops in time."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from headrace_events.workload import Train
from headrace_models.chat import IGNORED, EncodedExample
from headrace_models.loading import load_tokenizer, set_threads
from headrace_trainer.core import checkpoint
from headrace_trainer.core.examples import NothingToLearn, encode_rows
from headrace_trainer.core.loop import Loop
from headrace_trainer.core.lora import add_adapter
from headrace_trainer.core.plan import plan_training
from headrace_trainer.core.specification import Progress

LONG = 600.0
# Prompts of several lengths, and an answer that depends on the prompt's first token.
EXAMPLES = [
    EncodedExample(
        [1, kind, *range(10, 10 + pad), 20 + kind, 2],
        [IGNORED] * (2 + pad) + [20 + kind, 2],
    )
    for kind in (3, 4, 5, 6)
    for pad in range(1, 9)
]


def fresh(seed: int = 0, steps: int = 12, examples: list[EncodedExample] | None = None) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    set_threads(1)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        # The head is frozen: with the usual tiny weights no hidden state could give a sure answer.
        initializer_range=0.3,
    )
    rows = examples or EXAMPLES
    train = Train(batch_size=8, epochs=1000, max_steps=steps, seed=seed, learning_rate=1e-2)
    model = add_adapter(LlamaForCausalLM(config), 4, seed)
    return model, Loop(model, rows, plan_training(len(rows), train), pad=0)


def run(
    loop: Loop, seconds: float = LONG, every: int = 1000, on_checkpoint: Any = lambda: None
) -> tuple[bool, list[Progress]]:
    seen: list[Progress] = []
    return loop.run(seconds, seen.append, every, on_checkpoint), seen


def weights(model: Any) -> dict[str, Any]:
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(bool((one[n] == other[n]).all()) for n in one)


def test_it_learns_and_touches_only_the_adapter() -> None:
    model, loop = fresh(steps=150)
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    early, seen = run(loop)
    assert not early
    assert (len(seen), seen[-1].step, loop.state.step) == (150, 150, 150)
    assert seen[-1].loss < seen[0].loss * 0.6
    assert all(bool((p == frozen[n]).all()) for n, p in model.named_parameters() if n in frozen)


def test_the_same_seed_gives_the_same_adapter_bit_for_bit_and_another_another() -> None:
    results = []
    for seed in (0, 0, 1):
        model, loop = fresh(seed)
        run(loop)
        results.append(weights(model))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_a_resumed_training_ends_where_the_unbroken_one_does(tmp_path: Path) -> None:
    whole, loop = fresh()
    run(loop)

    class Killed(Exception):
        """Stands for kill -9."""

    broken, loop_before = fresh()

    def keep_and_die() -> None:
        checkpoint.save(tmp_path, broken, loop_before)
        raise Killed

    with pytest.raises(Killed):
        run(loop_before, every=5, on_checkpoint=keep_and_die)
    resumed, loop_after = fresh()
    checkpoint.load(tmp_path, resumed, loop_after)
    _, seen = run(loop_after)

    assert seen[0].step == 6
    assert seen[0].resumed_at_step == 5
    assert same(weights(resumed), weights(whole))
    assert loop_after.state.tokens == loop.state.tokens
    assert loop_after.state.loss == loop.state.loss


def test_a_finished_training_resumed_takes_no_step(tmp_path: Path) -> None:
    model, loop = fresh()
    run(loop)
    checkpoint.save(tmp_path, model, loop)
    again, loop_again = fresh()
    checkpoint.load(tmp_path, again, loop_again)
    assert run(loop_again) == (False, [])
    assert same(weights(again), weights(model))


def test_the_time_limit_ends_it_early_and_says_so() -> None:
    _, loop = fresh(steps=100_000)
    early, seen = run(loop, seconds=0.3)
    assert early
    assert 0 < len(seen) < 100_000


def test_checkpoints_come_every_so_many_steps() -> None:
    _, loop = fresh()
    at: list[int] = []
    run(loop, every=5, on_checkpoint=lambda: at.append(loop.state.step))
    assert at == [5, 10]


@cache
def tokenizer() -> Any:
    return load_tokenizer("smollm2-135m-instruct")


def test_long_rows_are_cut_and_rows_without_an_answer_left_out() -> None:
    rows = [("Hi", "yes " * 50), ("word " * 100, "lost"), ("Hi", "Hello")]
    found = encode_rows(rows, tokenizer(), 24)
    assert [len(example.ids) == 24 for example in found] == [True, False]
    assert all(len(example.ids) == len(example.labels) for example in found)


def test_the_system_message_is_trained_with() -> None:
    plain, said = (encode_rows([("Hi", "Yo")], tokenizer(), 64, s)[0] for s in (None, "Be kind"))
    assert "Be kind" in tokenizer().decode(said.ids)
    assert [x for x in plain.labels if x != IGNORED] == [x for x in said.labels if x != IGNORED]


def test_nothing_to_learn_says_what_to_do() -> None:
    with pytest.raises(NothingToLearn, match="max_tokens"):
        encode_rows([("word " * 100, "lost")], tokenizer(), 16)
