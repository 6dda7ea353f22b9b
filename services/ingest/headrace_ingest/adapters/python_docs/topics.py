"""Questions on the language reference: `pydoc_data.topics`, statement by statement."""

import importlib
import re
from collections.abc import Iterator

from headrace_ingest.adapters.python_docs.sentences import summary
from headrace_ingest.core.records import Row

_STATEMENT = re.compile(
    r'^(?:The )?("[^"]+"(?:(?:, | and )"[^"]+")*) (statement|clause|expression)s?$'
)
_CODE = re.compile(r'"([^"]+)"')
_UNDERLINE = re.compile(r"^(\*{3,}|={3,}|-{3,})$")
# An entry: `object.__len__(self)` or `str.lower()` at the margin, its description indented.
_ENTRY = re.compile(r"^(?:class |async )?([A-Za-z_]\w*(?:\.\w+)+|[a-z]\w*)(\([^\n]*\))?$")
_SPECIAL = re.compile(r"^object\.(__\w+__)$")


def topic_rows() -> Iterator[Row]:
    """Yield rows topic by topic, in the order of their names."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    for name in sorted(topics):
        blocks = [b for b in topics[name].split("\n\n") if b.strip()]
        yield from _headed(blocks)
        yield from _entries(topics[name], name)


def _headed(blocks: list[str]) -> Iterator[Row]:
    """Yield a row for each title that is followed by a paragraph of prose."""
    for block, following in zip(blocks, [*blocks[1:], ""], strict=True):
        lines = block.strip().splitlines()
        if len(lines) < 2 or not _UNDERLINE.match(lines[1]):
            continue
        prose = _next_prose(following, blocks, block)
        answer = summary(_code_marks(prose)) if prose else None
        question = _question(lines[0].strip())
        if answer and question:
            yield Row(question, answer)


def _next_prose(following: str, blocks: list[str], block: str) -> str | None:
    if not following.startswith((" ", "New in version", "Source code")):
        return following
    # A grammar or a version note comes first: the prose is within the blocks after it.
    index = blocks.index(block) + 2
    return next((b for b in blocks[index : index + 2] if not b.startswith(" ")), None)


def _question(title: str) -> str | None:
    statement = _STATEMENT.match(title)
    if statement:
        names = _CODE.findall(statement[1])
        verb = "does" if len(names) == 1 else "do"
        named = " and ".join(f"`{name}`" for name in names)
        plural = "" if len(names) == 1 else "s"
        return f"What {verb} the {named} {statement[2]}{plural} do in Python?"
    if len(title) > 60 or title.lower().startswith(("the ", "notes", "other ")):
        return None
    # Lower case outside code only: `numbers.Real` is a name.
    parts = _code_marks(title).split("`")
    shown = "`".join(part if i % 2 else part.lower() for i, part in enumerate(parts))
    return f"Explain {shown} in Python."


def _entries(text: str, topic: str) -> Iterator[Row]:
    lines = text.splitlines()
    for index, line in enumerate(lines[:-2]):
        entry = _ENTRY.match(line)
        if not entry or lines[index + 1] or not lines[index + 2].startswith("   "):
            continue
        body = []
        for following in lines[index + 2 :]:
            if not following.startswith("   "):
                break
            body.append(following.strip())
        answer = summary(_code_marks("\n".join(body)))
        if answer and topic == "debugger" and "." not in entry[1]:
            yield Row(f"What does the command `{entry[1]}` of the debugger pdb do?", answer)
        elif answer and "." in entry[1]:
            yield Row(_entry_question(entry[1], called=bool(entry[2])), answer)


def _entry_question(name: str, *, called: bool) -> str:
    special = _SPECIAL.match(name)
    if special:
        return f"What is the special method `{special[1]}` for in Python?"
    if called:
        return f"What does `{name}` do in Python?"
    return f"What is `{name}` in Python?"


def _code_marks(text: str) -> str:
    """Turn the straight quotes that the reference puts around code into backticks."""
    return _CODE.sub(r"`\1`", text)
