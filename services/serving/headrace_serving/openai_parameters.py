"""Parameters of OpenAI's API that are not done here: each is refused by name, never passed over.

A value that asks for what is done anyway (no tools, one answer, text) is taken: clients send their
defaults along.
"""

import re
from collections.abc import Mapping
from typing import Any

from headrace_serving.openai_errors import ApiError

# Name -> the values, besides null, that ask for nothing more than what is done anyway.
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "frequency_penalty": (0, 0.0),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0, 0.0),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
# What a caller notes for OpenAI's own books: it changes no answer, there or here.
PASSED_OVER = (
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def refuse_unsupported(extra: Mapping[str, Any]) -> None:
    """Raise the ApiError of the first parameter that asks for what is not done."""
    for name, value in extra.items():
        if name in PASSED_OVER or value is None:
            continue
        if name not in UNSUPPORTED:
            # Only what could be a parameter's name is shown again.
            shown = name if _NAME.fullmatch(name) else None
            raise ApiError(
                400,
                f"there is no parameter {shown}" if shown else "there is no parameter of this name",
                code="unknown_parameter",
                param=shown,
            )
        # True is 1 in Python, and [] is not ().
        if not any(type(value) is type(taken) and value == taken for taken in UNSUPPORTED[name]):
            raise ApiError(
                400,
                f"{name} is not supported{_taken(UNSUPPORTED[name])}: leave it out",
                code="unsupported_parameter",
                param=name,
            )


def document(schema: dict[str, Any]) -> None:
    """Say in the JSON schema which of their values are taken."""
    schema["additionalProperties"] = False
    for name, taken in UNSUPPORTED.items():
        schema["properties"][name] = {"enum": [None, *taken]}
    for name in PASSED_OVER:
        schema["properties"][name] = {"description": "passed over"}


def _taken(values: tuple[Any, ...]) -> str:
    return f" (but for {values[0]!r})" if values else ""
