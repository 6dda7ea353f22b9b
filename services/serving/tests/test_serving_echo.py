"""The echo engine behind the batcher: whole, cut, streamed."""

from headrace_serving.adapters.echo_engine import EchoEngine
from headrace_serving.core.batching import Batcher, Generated
from headrace_serving.core.generation import Prompt


def prompt(text: str, *, max_tokens: int = 9, stream: bool = False) -> Prompt:
    turns = (("system", "be kind"), ("user", text))
    return Prompt(turns, max_tokens=max_tokens, stream=stream)


async def answers(*prompts: Prompt) -> list[list[str | Generated]]:
    import asyncio

    batcher = Batcher(EchoEngine(2.0), max_batch=8, max_waiting=8)

    async def one(asked: Prompt) -> list[str | Generated]:
        return [piece async for piece in batcher.stream("b", None, asked)]

    return await asyncio.gather(*(one(p) for p in prompts))


async def test_it_says_the_last_message_again() -> None:
    whole, cut = await answers(prompt("one two  three"), prompt("one two three", max_tokens=2))
    (said,), (short,) = whole, cut
    assert isinstance(said, Generated)
    assert (said.text, said.finish_reason) == ("one two three", "stop")
    assert (said.input_tokens, said.output_tokens) == (5, 3)
    assert isinstance(short, Generated)
    assert (short.text, short.finish_reason, short.output_tokens) == ("one two", "length", 2)


async def test_streams_of_different_length_in_one_batch() -> None:
    long, short, whole = await answers(
        prompt("a b c d", stream=True), prompt("x", stream=True), prompt("all at once")
    )
    assert long[:-1] == ["a", " b", " c"]
    assert isinstance(long[-1], Generated)
    assert long[-1].text == "a b c d"
    assert [p.text for p in short if isinstance(p, Generated)] == ["x"]
    assert [p.text for p in whole if isinstance(p, Generated)] == ["all at once"]
