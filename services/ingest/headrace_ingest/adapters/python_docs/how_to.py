"""The other way round for some functions: from what one wants to do to the function's name."""

import re

from headrace_ingest.core.records import Row, digest

# One function in so many is asked for this way round; never both ways, because then the answer
# of a held-out question would stand in a question that was trained on.
_ONE_IN = 8
_LONGEST = 70
_VERBS = frozenset(
    [
        "add",
        "append",
        "change",
        "close",
        "compile",
        "compress",
        "compute",
        "concatenate",
        "convert",
        "copy",
        "count",
        "create",
        "decode",
        "decompress",
        "delete",
        "display",
        "encode",
        "escape",
        "find",
        "format",
        "get",
        "join",
        "list",
        "load",
        "make",
        "move",
        "open",
        "parse",
        "print",
        "raise",
        "read",
        "register",
        "remove",
        "rename",
        "replace",
        "round",
        "run",
        "send",
        "set",
        "sort",
        "split",
        "start",
        "stop",
        "test",
        "translate",
        "truncate",
        "wait",
        "write",
    ]
)
_DANGLING = re.compile(r"[`();:'\"=]|\b(this|its|it|given|specified|object|instance|used)\b")


def how_to(name: str, row: Row) -> Row | None:
    """Return a "How do I" row for the function `name`, if it is one of those asked that way."""
    if int(digest(name), 16) % _ONE_IN or "." not in name:
        return None
    first, _, rest = row.completion.rstrip(".").partition(" ")
    verb = {"return": "get", "returns": "get"}.get(first.lower(), first.lower())
    if verb not in _VERBS or len(row.completion) > _LONGEST or _DANGLING.search(rest):
        return None
    if ". " in rest:
        return None
    module = name.rpartition(".")[0]
    return Row(f"How do I {verb} {rest} in Python?", f"Use `{name}` from the module `{module}`.")
