"""Names of things: completed by the shell, and the nearest ones where one is wrong."""

import difflib
from collections.abc import Callable, Iterable

from headrace_stack.commands.api import Refused, connect
from headrace_stack.errors import StackError

_NEAREST = 3
_COMPLETION_SECONDS = 2.0


def unknown(noun: str, name: str, known: Iterable[str], *, where: str) -> Refused:
    """The refusal of a name: the nearest ones, and the command that lists all (`where`)."""
    names = list(known)
    shown = name if len(name) <= 100 and name.isprintable() else "that"
    near = difflib.get_close_matches(name, names, n=_NEAREST, cutoff=0.4)
    if near:
        hint = f"Nearest: {', '.join(f'`{one}`' for one in near)}."
    else:
        hint = f"There are {len(names)}." if names else "There are none yet."
    return Refused(f"No {noun} is called `{shown}`. {hint} `{where}` shows all.", 404, "not_found")


def completing(*path: str, key: str = "name") -> Callable[[str], list[str]]:
    """Complete from a list of a service; a shell that waits gets nothing rather than an error."""

    def complete(incomplete: str) -> list[str]:
        try:
            rows = connect(seconds=_COMPLETION_SECONDS).get(*path)["data"]
        except (StackError, KeyError, TypeError):
            return []
        return sorted({str(row[key]) for row in rows if str(row[key]).startswith(incomplete)})

    return complete
