"""Rows -> token ids, cut to what the manifest allows."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from headrace_models.chat import IGNORED, EncodedExample, encode_example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class NothingToLearn(Exception):
    """No row has an answer within the token limit; the message says what to do."""


def encode_rows(
    rows: Iterable[tuple[str, str]],
    tokenizer: "PreTrainedTokenizerBase",
    max_tokens: int,
    system: str | None = None,
) -> list[EncodedExample]:
    """Encode (prompt, completion) rows; the end of a long answer is cut off.

    A row whose prompt alone fills the limit has nothing to learn from and is left out.
    """
    examples = []
    for prompt, completion in rows:
        whole = encode_example(prompt, completion, tokenizer, system)
        example = EncodedExample(whole.ids[:max_tokens], whole.labels[:max_tokens])
        if any(label != IGNORED for label in example.labels):
            examples.append(example)
    if not examples:
        raise NothingToLearn(
            f"no training row has an answer within {max_tokens} tokens: "
            "raise spec.train.max_tokens or land shorter rows"
        )
    return examples
