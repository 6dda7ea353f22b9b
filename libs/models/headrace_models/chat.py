"""Messages -> prompt, prompt and answer -> training example. Trainer, evaluator and serving share
this, so that a model is asked in production exactly as it was trained.

The prompt is short on purpose: no default system prompt is put in front.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from headrace_models.errors import ConversationRefused, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, str]
IGNORED = -100  # the label that torch's cross entropy skips

_START, _END = "<|im_start|>", "<|im_end|>"
CHATML_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' "
    "+ message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class EncodedExample:
    """Token ids of prompt, answer and end of turn; labels are IGNORED over the prompt."""

    ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class _Vocabulary:
    """What is asked of a tokenizer for every row, and takes it milliseconds to say."""

    chatml_end: int | None  # None: the tokenizer does not know ChatML
    control: tuple[str, ...]


@lru_cache(maxsize=8)
def _vocabulary(tokenizer: "PreTrainedTokenizerBase") -> _Vocabulary:
    known = tokenizer.get_vocab()
    return _Vocabulary(
        known[_END] if _START in known and _END in known else None,
        tuple(token.content for token in tokenizer.added_tokens_decoder.values() if token.special),
    )


def is_chatml(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the tokenizer knows ChatML's two tokens."""
    return _vocabulary(tokenizer).chatml_end is not None


def render(messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase") -> str:
    """The prompt for the assistant's next turn, as text.

    ChatML where the tokenizer knows it (many such templates would add a system prompt of their
    own), else the tokenizer's template, else plain `User:` / `Assistant:` lines. Raises
    ConversationRefused where the template takes no such turns.
    """
    clean = [
        {"role": message["role"], "content": _inert(message["content"], tokenizer)}
        for message in messages
    ]
    if is_chatml(tokenizer):
        turns = [f"{_START}{turn['role']}\n{turn['content']}{_END}\n" for turn in clean]
        return "".join(turns) + f"{_START}assistant\n"
    if tokenizer.chat_template:
        return _templated(clean, tokenizer)
    turns = [f"{turn['role'].capitalize()}: {turn['content']}\n" for turn in clean]
    return "".join(turns) + "Assistant: "


def _templated(messages: list[dict[str, str]], tokenizer: "PreTrainedTokenizerBase") -> str:
    import jinja2

    try:
        return str(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )
    except jinja2.TemplateError:
        # Its message is the template's own, and may hold what somebody wrote.
        raise ConversationRefused(
            "the model's chat template does not take these turns: some models know no system turn, "
            "and want user and assistant in turns"
        ) from None


def render_ids(messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The prompt for the assistant's next turn, as token ids."""
    # A template writes its own special tokens; the plain form gets the tokenizer's.
    plain = not is_chatml(tokenizer) and not tokenizer.chat_template
    return list(tokenizer.encode(render(messages, tokenizer), add_special_tokens=plain))


def question(prompt: str, system: str | None = None) -> list[Message]:
    """A conversation of one question, after the workload's system message if it has one."""
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": prompt}]


def encode_example(
    prompt: str,
    completion: str,
    tokenizer: "PreTrainedTokenizerBase",
    system: str | None = None,
) -> EncodedExample:
    """One row as the model learns it: loss on the completion and the end of turn only."""
    asked = render_ids(question(prompt, system), tokenizer)
    answer = tokenizer.encode(_inert(completion, tokenizer), add_special_tokens=False)
    answer = [*answer, end_of_turn(tokenizer)]
    return EncodedExample(asked + answer, [IGNORED] * len(asked) + answer)


def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The id of the token that ends the assistant's turn."""
    chatml_end = _vocabulary(tokenizer).chatml_end
    if chatml_end is not None:
        return chatml_end
    if tokenizer.eos_token_id is None:
        raise ModelError("the tokenizer has no end-of-sequence token: the model cannot end a turn")
    return int(tokenizer.eos_token_id)


def stop_ids(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """Tokens after which generation stops."""
    eos = tokenizer.eos_token_id
    return frozenset({end_of_turn(tokenizer)} | (set() if eos is None else {int(eos)}))


def _inert(text: str, tokenizer: "PreTrainedTokenizerBase") -> str:
    """Break control tokens in user text, so that it cannot end its turn or play another role."""
    for token in _vocabulary(tokenizer).control:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
