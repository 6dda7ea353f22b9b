"""Plain text, in one of two layouts.

One row per line: `prompt<TAB>completion`, if every line that is not blank has a tab.
Otherwise blocks separated by blank lines: a block's first line is the prompt, the rest the
completion.
"""

import re
from collections.abc import Iterator

from headrace_ingest.adapters.decoding import decode, lines
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.records import Row

_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def read_text(content: bytes, _prompt: str, _completion: str) -> Iterator[Row]:
    """Read tabbed lines or blocks; text has no columns, so their names do not matter."""
    all_lines = lines(decode(content))
    written = [(number, line) for number, line in enumerate(all_lines, start=1) if line.strip()]
    if all("\t" in line for _, line in written):
        return (_tabbed(number, line) for number, line in written)
    return (
        _block(number, line, block)
        for number, (line, block) in enumerate(_blocks("\n".join(all_lines)), start=1)
    )


def _tabbed(number: int, line: str) -> Row:
    prompt, completion = line.split("\t", 1)
    return Row(prompt, completion, number)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the blocks, each with the line on which it begins."""
    whole = text.strip()
    start, line = 0, 1 + text[: len(text) - len(text.lstrip())].count("\n")
    for gap in _BLANK_LINES.finditer(whole):
        yield line, whole[start : gap.start()]
        line += whole.count("\n", start, gap.end())
        start = gap.end()
    yield line, whole[start:]


def _block(number: int, line: int, block: str) -> Row:
    prompt, separator, completion = block.strip("\n").partition("\n")
    if not separator:
        raise UnreadableSource(
            f"paragraph {number} has one line: write `prompt<TAB>completion` on every line, or "
            "paragraphs whose first line is the prompt and whose rest is the completion",
            param="file",
        )
    return Row(prompt, completion, line)
