"""Errors about columns: they name what is wanted, and of what is there only names of columns.

The first line of a file without a header is a row, that is people's text: of a delimited file only
names are told that are usual or near to the wanted ones.
"""

import difflib
import re
from collections.abc import Sequence

from headrace_events.text import as_name
from headrace_ingest.core.errors import UnreadableSource

_LONGEST = 40
_SHOWN = 10
_LOOKED_AT = 1000
_NEAR = 0.7
_NAME = re.compile(rf"[^\W\d][\w.-]{{0,{_LONGEST - 1}}}")
_USUAL = frozenset(
    """
    answer answers assistant body category categories chosen class completion completions content
    context description id input instruction instructions intent intents label labels language
    message messages output outputs prompt prompts query question questions rejected reply request
    response responses source split subject summary system target text texts title topic user
    utterance azonosító cím címke címkék forrás kategória kérdés kérdések leírás nyelv szándék
    szöveg szövegek tárgy téma utasítás válasz válaszok
    """.split()  # noqa: SIM905 - a list of so many words is read more easily like this
)


def missing_columns(
    wanted: Sequence[str], found: Sequence[str], *, named: bool
) -> UnreadableSource:
    """Return the error that names what is missing and what is there.

    `named` says that the format itself names its columns: what is found is no row of text then.
    """
    missing = [name for name in wanted if name not in found]
    listed = ", ".join(quoted(name) for name in missing)
    word = "column" if len(missing) == 1 else "columns"
    return UnreadableSource(
        f"missing {word} {listed}; {_there(wanted, found, named=named)}: "
        "name yours with `prompt` and `completion`",
        param="prompt" if wanted and wanted[0] in missing else "completion",
    )


def repeated_column(name: str) -> UnreadableSource:
    """Return the error of a column that could be either of two."""
    return UnreadableSource(
        f"the column {quoted(name)} stands there twice: give each column its own name",
        param="file",
    )


def quoted(name: str) -> str:
    """Return a column's name for a message, cut to a bounded length."""
    return f"`{as_name(name, _LONGEST)}`"


def _there(wanted: Sequence[str], found: Sequence[str], *, named: bool) -> str:
    names = [name for name in found[:_LOOKED_AT] if _NAME.fullmatch(name)]
    if not named:
        near = {n for w in wanted for n in difflib.get_close_matches(w[:_LONGEST], names, 3, _NEAR)}
        names = [name for name in names if name.casefold() in _USUAL or name in near]
    shown = ", ".join(quoted(name) for name in names[:_SHOWN])
    if names and len(names[:_SHOWN]) == len(found):
        return f"the file has {shown}"
    if names:
        return f"the file has {len(found)} columns, among them {shown}"
    if named:
        return f"the file has {len(found)} others"
    fields = "field" if len(found) == 1 else "fields"
    return (
        f"the first line has {len(found)} {fields} and none is a usual name of a column: put a "
        "line with the columns' names there"
    )
