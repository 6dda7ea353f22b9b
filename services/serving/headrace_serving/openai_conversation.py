"""Turns of a conversation as OpenAI's clients send them, and as the events have them.

A model here is asked with text alone. What tools were called in earlier turns, and what they gave
back, is told to it in words; calls of its own it makes none (`tools` is refused).
"""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from headrace_events.inference import Message
from headrace_events.text import whole_text

_MOST_PARTS = 256
_MOST_CALLS = 128
_LONGEST_NAME = 256
_PART_TEXT = {"text": "text", "refusal": "refusal"}  # a part's type -> where its text is


def _plain(content: Any) -> Any:
    """Content in parts as one text; only text is understood."""
    if not isinstance(content, list):
        return content
    if len(content) > _MOST_PARTS:
        raise PydanticCustomError("too_many_parts", "too many parts")
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = part.get("type") if isinstance(part, dict) else None
        text = part.get(_PART_TEXT[kind]) if isinstance(kind, str) and kind in _PART_TEXT else None
        if not isinstance(text, str):
            raise PydanticCustomError("only_text_parts_are_supported", "only text is understood")
        texts.append(text)
    return "".join(texts)


_PART_SCHEMA = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
Content = Annotated[
    str | None,
    AfterValidator(lambda text: text if text is None else whole_text(text)),
    BeforeValidator(_plain),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": _PART_SCHEMA, "maxItems": _MOST_PARTS},
                {"type": "null"},
            ]
        }
    ),
]
Text = Annotated[str, AfterValidator(whole_text)]
Name = Annotated[Text, Field(max_length=_LONGEST_NAME)]


class CalledFunction(BaseModel):
    """What was called, with its arguments as the JSON text that a model wrote."""

    name: Name
    arguments: Text = ""


class ToolCall(BaseModel):
    """A call in an earlier turn."""

    id: Name | None = None
    type: Literal["function"] = "function"
    function: CalledFunction


class ChatMessage(BaseModel):
    """One turn; `developer` is a newer name of `system`, `function` an older one of `tool`."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = None
    name: Name | None = None
    refusal: Text | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=_MOST_CALLS)] | None = None
    tool_call_id: Name | None = None
    function_call: CalledFunction | None = None
    audio: None = None

    def model_post_init(self, _context: Any) -> None:
        """Only what an assistant said may be without text."""
        if self.content is None and self.role != "assistant":
            raise PydanticCustomError("content_is_missing", "content is missing")

    def plain(self) -> Message:
        """The turn as the events have it: a role of three, and text."""
        match self.role:
            case "system" | "developer":
                return Message(role="system", content=self.content or "")
            case "tool" | "function":
                which = self.name or self.tool_call_id or "a tool"
                return Message(role="user", content=f"Result of {which}: {self.content}")
            case "assistant":
                calls = [call.function for call in self.tool_calls or ()]
                calls += [self.function_call] if self.function_call else []
                said = [self.content or self.refusal or ""]
                said += [
                    f"Called {call.name} with {call.arguments or json.dumps({})}" for call in calls
                ]
                return Message(role="assistant", content="\n".join(line for line in said if line))
            case "user":
                return Message(role="user", content=self.content or "")
