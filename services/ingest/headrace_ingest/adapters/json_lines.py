"""JSON lines: two columns, or OpenAI's `messages`."""

import json
from collections.abc import Iterator
from typing import Any

from headrace_ingest.adapters.columns import missing_columns, quoted, repeated_column
from headrace_ingest.adapters.decoding import check_text, decode, lines
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

_PARTS_OF_TEXT = ("text", "input_text", "output_text")
_NAMES_IN_MESSAGES = ("messages", "role", "content", "type", "text")


class _Twice(ValueError):
    """A name stands in an object twice; which value is meant?"""


def read_json_lines(content: bytes, prompt: str, completion: str) -> Iterator[Row]:
    """Read one JSON object per line.

    An object with the two columns is a row; one with `messages` (OpenAI's shape) is a row of its
    last assistant message and the user message right before it. Numbers are taken as they are
    written: `1.10` is not 1.1.
    """
    decoder = _decoder({prompt, completion, *_NAMES_IN_MESSAGES})
    for number, line in enumerate(lines(decode(content)), start=1):
        if line and not line.isspace():
            yield _row(_object(decoder, line, number), number, prompt, completion)


def _decoder(matter: set[str]) -> json.JSONDecoder:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            if twice := next((n for n in names if n in matter and names.count(n) > 1), None):
                raise _Twice(twice)
        return found

    return json.JSONDecoder(
        parse_int=str, parse_float=str, parse_constant=_no_constant, object_pairs_hook=unique
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _object(decoder: json.JSONDecoder, line: str, number: int) -> dict[str, Any]:
    try:
        found = decoder.decode(line)
    except _Twice as error:
        reason = repeated_column(str(error)).reason
        raise UnreadableSource(f"line {number}: {reason}", param="file") from None
    except (ValueError, RecursionError):
        raise UnreadableSource(
            f"line {number} is not JSON{_hint(line, number)}", param="file"
        ) from None
    if not isinstance(found, dict):
        raise UnreadableSource(
            f"line {number} is not a JSON object{_hint(line, number)}", param="file"
        )
    return found


def _hint(line: str, number: int) -> str:
    start = line.lstrip()
    if start.startswith("["):
        return ": the file holds a JSON array; write one object on each line"
    if start.rstrip() == "{":
        return ": an object goes over several lines; write one on each line"
    if "NaN" in line or "Infinity" in line:
        return ": it has no NaN and no Infinity; write null or text"
    return ": write one object on each line" if number == 1 else ""


def _row(found: dict[str, Any], number: int, prompt: str, completion: str) -> Row:
    if prompt in found and completion in found:
        return Row(
            _value(found[prompt], number, prompt),
            _value(found[completion], number, completion),
            number,
        )
    if isinstance(found.get("messages"), list):
        return _from_messages(found["messages"], number)
    error = missing_columns((prompt, completion), list(found), named=True)
    raise UnreadableSource(f"line {number}: {error.reason}", param=error.param)


def _value(value: Any, number: int, column: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return check_text(value, f"line {number}: column {quoted(column)}")
    if isinstance(value, bool):
        return json.dumps(value)
    raise UnreadableSource(f"line {number}: column {quoted(column)} is not text", param="file")


def _from_messages(messages: list[Any], number: int) -> Row:
    roles = [m.get("role") if isinstance(m, dict) else None for m in messages]
    if any(not isinstance(role, str) for role in roles):
        raise UnreadableSource(
            f"line {number}: something in `messages` is no message: each has `role` and `content`",
            param="file",
        )
    answer = max((i for i, role in enumerate(roles) if role == "assistant"), default=0)
    # An earlier pair instead would be another answer than the one that the line is about.
    if answer == 0 or roles[answer - 1] != "user":
        raise UnreadableSource(
            f"line {number}: `messages` has no user message followed by an assistant message, or "
            "its last assistant message answers something else",
            param="file",
        )
    return Row(
        _content(messages[answer - 1], number, "user"),
        _content(messages[answer], number, "assistant"),
        number,
    )


def _content(message: dict[str, Any], number: int, role: str) -> str:
    content = message.get("content")
    place = f"line {number}: the last {role} message"
    if isinstance(content, str):
        return check_text(content, place)
    if not content or not isinstance(content, list):
        raise UnreadableSource(f"{place} has no text in `content`", param="file")
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else None
        if not isinstance(text, str) or part.get("type", "text") not in _PARTS_OF_TEXT:
            raise UnreadableSource(f"{place} has a part that is not text", param="file")
        texts.append(text)
    return check_text("".join(texts), place)
