"""JSON lines: two columns, or OpenAI's `messages`."""

import json
from typing import Any

from headrace_ingest.adapters.decoding import decode, missing_columns
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row


def read_json_lines(content: bytes, prompt: str, completion: str) -> list[Row]:
    """Read one JSON object per line.

    An object with the two columns is a row; one with `messages` (OpenAI's shape) is a row of its
    last assistant message and the user message before it.
    """
    rows = []
    # Not splitlines: a JSON string may hold U+2028, which that would take for a line's end.
    for number, line in enumerate(decode(content).split("\n"), start=1):
        if line.strip():
            rows.append(_row(_object(line, number), number, prompt, completion))
    return rows


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise UnreadableSource(f"line {number} is not JSON", param="file") from None
    if not isinstance(found, dict):
        raise UnreadableSource(f"line {number} is not a JSON object", param="file")
    return found


def _row(found: dict[str, Any], number: int, prompt: str, completion: str) -> Row:
    if prompt in found and completion in found:
        return Row(
            _text(found[prompt], number, prompt), _text(found[completion], number, completion)
        )
    if isinstance(found.get("messages"), list):
        return _from_messages(found["messages"], number)
    error = missing_columns((prompt, completion), [str(name) for name in found])
    raise UnreadableSource(f"line {number}: {error.reason}", param=error.param)


def _text(value: Any, number: int, column: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise UnreadableSource(f"line {number}: column `{column}` is not text", param="file")


def _from_messages(messages: list[Any], number: int) -> Row:
    turns = [
        (m.get("role"), m.get("content"))
        for m in messages
        if isinstance(m, dict) and isinstance(m.get("content"), str)
    ]
    for index in range(len(turns) - 1, 0, -1):
        (asked_by, question), (answered_by, answer) = turns[index - 1], turns[index]
        if (asked_by, answered_by) == ("user", "assistant"):
            return Row(str(question), str(answer))
    raise UnreadableSource(
        f"line {number}: `messages` has no user message followed by an assistant message",
        param="file",
    )
