"""What callers of OpenAI's API send: what is done, and what is refused because it is not."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from headrace_events.inference import Message
from headrace_events.text import whole_text
from headrace_serving.openai_conversation import ChatMessage
from headrace_serving.openai_errors import ApiError
from headrace_serving.openai_parameters import document, refuse_unsupported

_MOST_MESSAGES = 512
_MOST_STOPS = 4
_LONGEST_STOP = 1000
# A conversation travels in one event, of which the broker takes a megabyte; its answer comes to it.
_MOST_BYTES = 512 * 1024
_LONGEST_KEY = 256
# As OpenAI documents it; torch takes no more either.
_SEED = 2**63

Text = Annotated[str, AfterValidator(whole_text)]
Stop = Annotated[Text, Field(max_length=_LONGEST_STOP)]


def _list_of_one(value: Any) -> Any:
    """OpenAI's completions take a list of prompts; its clients send one in a list as well."""
    if not isinstance(value, list):
        return value
    if len(value) == 1 and isinstance(value[0], str):
        return value[0]
    raise PydanticCustomError("one_prompt_as_text_at_a_time", "one prompt, as text, at a time")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class StreamOptions(BaseModel):
    """What a stream carries besides text."""

    include_usage: bool | None = None


class Sampled(BaseModel):
    """What both kinds of request share."""

    model_config = ConfigDict(extra="allow", json_schema_extra=document)

    model: Text
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0.0, le=2.0)
    """0 when not given: a tuned model's most likely answer."""
    top_p: float | None = Field(None, gt=0.0, le=1.0)
    seed: int | None = Field(None, ge=-_SEED, lt=_SEED)
    stop: Annotated[
        list[Stop] | None,
        Field(max_length=_MOST_STOPS),
        BeforeValidator(_listed),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "maxLength": _LONGEST_STOP},
                    {
                        "type": "array",
                        "items": {"type": "string", "maxLength": _LONGEST_STOP},
                        "maxItems": _MOST_STOPS,
                    },
                    {"type": "null"},
                ]
            }
        ),
    ] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Annotated[Text, Field(max_length=_LONGEST_KEY)] | None = None
    service_tier: Text | None = None
    """`priority` is the fast lane; other tiers of OpenAI's are the normal one."""

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end the answer."""
        return tuple(stop for stop in self.stop or () if stop)

    @property
    def most_tokens(self) -> int | None:
        """Tokens that the answer may have."""
        return self.max_tokens

    def turns(self) -> tuple[Message, ...]:
        """The conversation."""
        raise NotImplementedError

    def checked(self) -> tuple[Message, ...]:
        """The conversation; raise the ApiError of what is asked and not done, or is too much."""
        refuse_unsupported(self.model_extra or {})
        turns = self.turns()
        size = sum(len(turn.content.encode()) for turn in turns)
        if size > _MOST_BYTES:
            raise ApiError(
                400,
                f"the conversation has {size} bytes; at most {_MOST_BYTES} are taken",
                code="request_too_large",
                param=self.text_parameter,
            )
        return turns

    @property
    def text_parameter(self) -> str:
        """The parameter that holds the conversation."""
        return "messages"


class ChatRequest(Sampled):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=_MOST_MESSAGES)]
    max_completion_tokens: int | None = Field(None, ge=1)

    @property
    def most_tokens(self) -> int | None:
        """Tokens that the answer may have; the newer name goes before the older."""
        return self.max_completion_tokens or self.max_tokens

    def turns(self) -> tuple[Message, ...]:
        """The conversation."""
        return tuple(message.plain() for message in self.messages)


class CompletionRequest(Sampled):
    """`POST /v1/completions`: the prompt is one user turn."""

    prompt: Annotated[
        Text,
        BeforeValidator(_list_of_one),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "array",
                        "items": {"type": "string"},
                        "minItems": 1,
                        "maxItems": 1,
                    },
                ]
            }
        ),
    ]

    def turns(self) -> tuple[Message, ...]:
        """The conversation."""
        return (Message(role="user", content=self.prompt),)

    @property
    def text_parameter(self) -> str:
        """The parameter that holds the conversation."""
        return "prompt"
